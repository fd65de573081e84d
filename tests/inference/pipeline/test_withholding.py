"""What is handed out, and how a location remembers how plausible it is."""

import numpy as np
import pytest

from pancascade.imaging.volume import Box
from pancascade.inference.localization.region_probabilities import RegionProbabilities
from pancascade.inference.pipeline.withholding import LEAST_PLAUSIBILITY, handed_out, is_withheld
from pancascade.results.location import Location

VOXEL_ML = 0.5


def found(plausibility: float | None, *, probability: float = 0.9, located: bool = True) -> RegionProbabilities:
    """Eight voxels of organ, 4 mL."""
    organ = np.full((2, 2, 2), probability, np.float32)
    location = Location(confidence=0.1, plausibility=plausibility) if located else None
    return RegionProbabilities(Box((1, 1, 1), (3, 3, 3)), organ, np.zeros_like(organ), location)


def given(prediction: RegionProbabilities, *, keep: bool = False):
    return handed_out(prediction, keep_doubtful=keep, voxel_ml=VOXEL_ML, threshold=0.5)


@pytest.mark.parametrize(
    ("plausibility", "withheld"),
    [(0.0, True), (LEAST_PLAUSIBILITY - 0.001, True), (LEAST_PLAUSIBILITY, False), (1.0, False), (None, False)],
)
def test_what_is_below_the_least_plausibility_is_withheld(plausibility, withheld):
    prediction = found(plausibility)
    assert is_withheld(prediction.location) == withheld
    result, notices = given(prediction)
    assert (result is prediction) != withheld
    assert [notice.code for notice in notices] == ["doubtful_withheld"] * withheld


def test_a_withheld_result_is_empty_keeps_its_location_and_says_how_much_was_found():
    prediction = found(0.05)
    result, (notice,) = given(prediction)
    assert result.box is None
    assert result.organ.size == result.tumour.size == 0
    assert result.location == prediction.location
    assert notice.severity == "warning"
    assert notice.values == {"volume_ml": 4.0}
    assert "(4 mL)" in notice.sentence
    assert "--keep-doubtful" in notice.sentence
    assert len(notice.sentence) <= 200


def test_what_is_asked_for_is_handed_out():
    prediction = found(0.0)
    assert given(prediction, keep=True) == (prediction, [])


def test_nothing_and_what_nobody_located_is_handed_out_without_a_word():
    for prediction in (RegionProbabilities.nothing(Location(confidence=0, plausibility=0)), found(None, located=False)):
        assert given(prediction) == (prediction, [])


def test_what_would_not_have_been_marked_goes_without_a_word():
    result, notices = given(found(0.0, probability=0.4))
    assert result.box is None
    assert notices == []


def test_a_location_remembers_its_plausibility_and_old_results_have_none():
    location = Location(confidence=0.4, plausibility=0.125, reasons=("organ_small",))
    assert Location.model_validate_json(location.model_dump_json()) == location
    old = location.model_dump(mode="json")
    del old["plausibility"]
    assert Location.model_validate(old).plausibility is None
    assert not is_withheld(Location.model_validate(old))
    assert not is_withheld(None)
