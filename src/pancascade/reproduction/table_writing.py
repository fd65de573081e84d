"""The files of a reproduced table: Markdown, LaTeX, one HTML page, JSON."""

import json
from pathlib import Path

from pancascade.evaluation.writing import plain
from pancascade.files.atomic import written_together
from pancascade.files.replacing import require_replaceable
from pancascade.reproduction.table_page import render_page
from pancascade.reproduction.table_text import ReproducedTable, as_document, counts_table, text_table

FILES = ("table.md", "table.tex", "table.html", "table.json")


def require_place(out: Path, *, begun: str, split: str, given: Path | None) -> None:
    """Refuse a folder in which a table would replace files of somebody else, before anything is written.

    Args:
        out: Folder of the files.
        begun: The file that tells a table's folder.
        split: The file of its split.
        given: A split file of one's own.

    Raises:
        OutputError: The folder is refused.
    """
    require_replaceable(out, [split, *FILES], seals=[begun], read=[None if (out / begun).exists() else given])


def write_tables(made: ReproducedTable, out: Path) -> None:
    """Write table.md, table.tex, table.html and table.json together.

    Args:
        made: The table.
        out: Folder of the files.

    Raises:
        OutputError: The folder cannot be written.
    """
    text = text_table(made)
    with written_together(out, names=FILES) as draft:
        (draft / "table.md").write_text("\n".join((text.markdown(), counts_table(made).markdown())), encoding="utf-8")
        latex = f"% needs the packages booktabs and xcolor\n\n{text.latex()}\n{counts_table(made).latex()}"
        (draft / "table.tex").write_text(latex, encoding="utf-8")
        (draft / "table.html").write_text(render_page(made), encoding="utf-8")
        content = json.dumps(plain(as_document(made)), indent=1, ensure_ascii=False)
        (draft / "table.json").write_text(content + "\n", encoding="utf-8")
