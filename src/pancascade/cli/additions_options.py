"""Options that switch off, by name, the additions of ``segment`` to the papers' pass."""

from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class AdditionsOptions:
    """The options of `segment` that switch something off; each field is an option."""

    no_smoothing: NoSmoothing = False
    no_fallback_search: NoFallbackSearch = False
    no_component_rules: NoComponentRules = False
    no_body_box: NoBodyBox = False
    no_search_range: NoSearchRange = False
    no_calibration: NoCalibration = False
    no_tuned_thresholds: NoTunedThresholds = False
    no_tumour_score: NoTumourScore = False

    def chosen(self) -> "Additions":
        """The additions that are left on."""
        from pancascade.inference.models.additions import Additions

        return Additions.without(name.removeprefix("no_") for name, off in asdict(self).items() if off)
