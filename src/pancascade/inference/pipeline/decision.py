"""From the probabilities of a scan to its labels: what is handed out, and marked."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pancascade.imaging.volume import Volume
from pancascade.inference.localization.region_probabilities import Finding
from pancascade.inference.pipeline.tumour_score import tumour_suspicion
from pancascade.inference.pipeline.withholding import handed_out
from pancascade.inference.runners.loading import Member
from pancascade.messages.notices import Notice
from pancascade.results.location import Thresholds


class Decision(NamedTuple):
    """What of a finding is handed out, and marked.

    Attributes:
        finding: What is handed out.
        labels: (I, J, K) uint8 on the grid of the upright scan.
        thresholds: By which they were decided.
        suspicion: The scan's tumour score; 0 where nothing is handed out.
        withheld: Why nothing is handed out.
        unmarked: Why no tumour is marked.
    """

    finding: Finding
    labels: NDArray[np.uint8]
    thresholds: Thresholds
    suspicion: float
    withheld: list[Notice]
    unmarked: list[Notice]


def decide_finding(
    finding: Finding,
    upright: Volume,
    members: Sequence[Member],
    *,
    keep_doubtful: bool = False,
    organ_given: bool = False,
) -> Decision:
    """What is handed out of a finding, by the models' thresholds, and which labels that makes.

    Args:
        finding: With calibrated probabilities.
        upright: The scan, oriented LPS.
        members: The models.
        keep_doubtful: Also hand out what lies in a place that is hardly a pancreas'.
        organ_given: Whether the organ is a given mask, which stays voxel for voxel.
    """
    thresholds = thresholds_of(members)
    suspicion = round(tumour_suspicion(finding, upright.spacing_mm), 4)
    kept, withheld = handed_out(
        finding, keep_doubtful=keep_doubtful, voxel_ml=upright.voxel_volume_ml, threshold=thresholds.organ
    )
    thresholds, unmarked = by_suspicion(kept, thresholds, members, suspicion=suspicion)
    labels = kept.labels(
        upright.shape,
        spacing_mm=upright.spacing_mm,
        organ_threshold=thresholds.organ,
        tumour_threshold=thresholds.least_tumour,
        component_rules=all(member.additions.component_rules for member in members),
        organ_given=organ_given,
    )
    return Decision(kept, labels, thresholds, 0.0 if kept.box is None else suspicion, withheld, unmarked)


def thresholds_of(members: Sequence[Member]) -> Thresholds:
    """The mean of the models' thresholds; ½ where tuned ones are switched off."""
    if not all(member.additions.tuned_thresholds for member in members):
        return Thresholds()
    return Thresholds(
        organ=float(np.mean([member.model.organ_threshold for member in members])),
        tumour=float(np.mean([member.model.tumour_threshold for member in members])),
    )


def by_suspicion(
    finding: Finding, thresholds: Thresholds, members: Sequence[Member], *, suspicion: float
) -> tuple[Thresholds, list[Notice]]:
    """The thresholds of one scan: below the models' least score no tumour is marked, and a notice says so.

    Args:
        finding: With calibrated probabilities.
        thresholds: The models' own.
        members: The models.
        suspicion: The scan's tumour score.
    """
    least = float(np.mean([member.model.least_suspicion for member in members]))
    if suspicion >= least or not all(member.additions.tumour_score for member in members):
        return thresholds, []
    found = thresholds.model_copy(update={"tumour_marked": False})
    if finding.box is None or not (finding.tumour >= thresholds.tumour).any():
        return found, []
    notice = Notice(
        code="tumour_unmarked",
        severity="information",
        about="result",
        sentence=f"No tumour is marked: the tumour score {suspicion:.2f} is below {least:.2f}. To mark what reaches "
        f"{thresholds.tumour:.2f} all the same, use `pancascade threshold --tumour` after --save-probabilities.",
        values={"suspicion": suspicion, "least": round(least, 3)},
    )
    return found, [notice]


def average(findings: Sequence[Finding]) -> Finding:
    """What several looks at a scan find together, as it is decided and stored."""
    return Finding.mean(findings).rounded()
