"""Values of options, for ``--help`` and for completion by the shell; the verbs check them themselves."""

from collections.abc import Callable

_DEVICES = ("cpu", "cuda", "cuda:1")
_LAYOUTS = (
    "msd",
    "nih_pancreas_ct",
    "panorama",
    "nnunet_raw",
    "slice_folder",
    "region_folder",
    "volume_list",
    "store",
    "corrections",
)

CHOICES: dict[str, tuple[str, ...]] = {
    "--device": _DEVICES,
    "--layout": _LAYOUTS,
    "--protocol": ("default", "qiu2024", "lsnet", "dsms_unet", "zhao2019", "nnunet", "panorama", "FILE.yaml"),
    "--part": ("test", "validation", "train"),
    "--missing": ("report", "empty"),
    "--other-labels": ("refuse", "background"),
    "--surface": ("surfel", "voxel"),
    "--hit": ("iou", "centre"),
    "--candidates": ("labels", "map"),
    "--scale": ("paper", "small"),
    "train --keep": ("all", "pancreas", "tumour", "no_pancreas", "no_tumour"),
    "export --format": ("onnx", "openvino"),
}
"""Values of an option in every verb that has it; ``VERB --option`` for one verb. Capitals are placeholders."""


def find_choices(verb: str, option: str) -> tuple[str, ...] | None:
    """Return the values of a verb's option; None if they are not listed."""
    return CHOICES.get(f"{verb} {option}", CHOICES.get(option))


def completer(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return a function that completes a value."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete) and not choice[:1].isupper()]

    return complete
