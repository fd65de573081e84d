"""``pancascade models``: list the shipped models, or show a model's card."""

from typing import Annotated

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="Show this model's card.")] = None,
) -> None:
    """List the shipped models, or show one model's card: data, licence, numbers, limits."""
    import rich.console
    import rich.markdown
    import rich.table

    from pancascade.inference.models.model import find_model, shipped_models

    console = rich.console.Console()
    if name is not None:
        console.print(rich.markdown.Markdown(find_model(name).card_text()))
        return
    table = rich.table.Table("name", "finds", "licence of the weights")
    for model in shipped_models():
        table.add_row(model.name, model.summary, model.licence)
    console.print(table)
    console.print("pancascade models NAME shows a model's card.", style="dim")
