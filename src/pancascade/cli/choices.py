"""Values of options, for ``--help`` and for completion by the shell; the verbs check them themselves."""

from collections.abc import Callable

_DEVICES = ("cpu", "cuda", "cuda:1")


def _layouts() -> tuple[str, ...]:
    from pancascade.data.readers import Layout

    return tuple(Layout)


Choices = tuple[str, ...] | Callable[[], tuple[str, ...]]
"""Values; a function where they cost an import, called only when the shell completes them."""

EXPORT_FORMATS = ("onnx", "openvino", "pancascade")

CHOICES: dict[str, Choices] = {
    "--device": _DEVICES,
    "--layout": _layouts,
    "--protocol": ("default", "qiu2024", "lsnet", "dsms_unet", "zhao2019", "nnunet", "panorama", "FILE.yaml"),
    "--part": ("test", "validation", "train"),
    "--missing": ("report", "empty"),
    "--other-labels": ("refuse", "background"),
    "--surface": ("surfel", "voxel"),
    "--hit": ("iou", "centre"),
    "--candidates": ("labels", "map"),
    "--scale": ("paper", "small"),
    "train --keep": ("all", "pancreas", "tumour", "no_pancreas", "no_tumour"),
    "export --format": EXPORT_FORMATS,
}
"""Values of an option in every verb that has it; ``VERB --option`` for one verb. Capitals are placeholders."""


def find_choices(verb: str, option: str) -> Choices | None:
    """Return the values of a verb's option; None if they are not listed."""
    return CHOICES.get(f"{verb} {option}", CHOICES.get(option))


def completer(choices: Choices) -> Callable[[str], list[str]]:
    """Return a function that completes a value."""

    def complete(incomplete: str) -> list[str]:
        known = choices() if callable(choices) else choices
        return [choice for choice in known if choice.startswith(incomplete) and not choice[:1].isupper()]

    return complete
