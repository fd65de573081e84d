"""Options that switch off, by name, the additions of ``segment`` to the papers' pass."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pancascade.inference.models.additions import Additions

NoSmoothing = Annotated[bool, typer.Option("--no-smoothing", help="Do not average probabilities along the body.")]
NoFallbackSearch = Annotated[
    bool, typer.Option("--no-fallback-search", help="Do not use a candidate below ½ where stage 1 finds nothing.")
]
NoComponentRules = Annotated[
    bool, typer.Option("--no-component-rules", help="Keep all components, not only one organ in one place.")
]
NoBodyBox = Annotated[bool, typer.Option("--no-body-box", help="Do not leave out air and table.")]
NoSearchRange = Annotated[
    bool, typer.Option("--no-search-range", help="Search all heights, whatever the base of the lungs.")
]
NoCalibration = Annotated[bool, typer.Option("--no-calibration", help="Do not calibrate the networks' probabilities.")]
NoTunedThresholds = Annotated[
    bool, typer.Option("--no-tuned-thresholds", help="Use thresholds of ½, not the model's own.")
]
NoTumourScore = Annotated[
    bool, typer.Option("--no-tumour-score", help="Mark tumours also in a scan with a low tumour score.")
]


def chosen_additions(**switched_off: bool) -> "Additions":
    """Return the additions that stay on.

    Args:
        switched_off: Whether the option was given, by name of the addition.
    """
    from pancascade.inference.models.additions import Additions

    return Additions.without(name for name, off in switched_off.items() if off)
