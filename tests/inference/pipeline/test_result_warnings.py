import numpy as np
import pytest
from abdomen_phantom import LPS_AXES, centred, turned

from pancascade.imaging.volume import Volume
from pancascade.inference.pipeline.result_warnings import PLAUSIBLE_PANCREAS_ML, result_warnings

SHAPE = (20, 20, 12)


def mask_of(*boxes, spacing_mm=(5.0, 5.0, 5.0)) -> Volume:
    labels = np.zeros(SHAPE, np.uint8)
    for label, box in boxes:
        labels[box] = label
    return Volume(labels, centred(LPS_AXES, spacing_mm=spacing_mm, shape=SHAPE))


PLAUSIBLE = (1, np.s_[4:14, 6:12, 3:9])


def test_a_plausible_organ_raises_no_doubt():
    assert result_warnings(mask_of(PLAUSIBLE)) == []
    assert result_warnings(mask_of(PLAUSIBLE, (2, np.s_[5:8, 7:9, 4:6]))) == []


def test_no_organ_is_the_only_thing_to_say():
    (notice,) = result_warnings(mask_of())
    assert notice.code == "pancreas_not_found"
    assert str(notice).startswith("No pancreas was found")


def test_a_small_organ_is_told_with_its_size():
    (notice,) = result_warnings(mask_of((1, np.s_[4:8, 6:8, 3:6])))
    assert notice.code == "pancreas_small"
    assert "small (3.0 mL < 15 mL)" in notice.sentence


def test_a_large_organ_is_told_with_its_size_tumour_included():
    (notice,) = result_warnings(mask_of((1, np.s_[2:18, 2:18, 2:6]), (2, np.s_[2:18, 2:18, 6:10])))
    assert notice.code == "pancreas_large"
    assert "large (256 mL > 250 mL)" in notice.sentence


@pytest.mark.parametrize("ml", PLAUSIBLE_PANCREAS_ML)
def test_the_limits_themselves_are_plausible(ml):
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:12, 2:12, 2:7] = 1
    edge = (ml * 2) ** (1 / 3)
    affine = centred(LPS_AXES, spacing_mm=(edge * (1 + 1e-9 * (1 if ml < 100 else -1)),) * 3, shape=SHAPE)
    assert result_warnings(Volume(labels, affine)) == []


@pytest.mark.parametrize("codes", ["LPS", "RAI", "SAL", "PIR", "ISR"[1:] + "A"])
@pytest.mark.parametrize("where", [np.s_[4:14, 6:12, :6], np.s_[4:14, 6:12, 6:]])
def test_an_organ_at_the_first_or_last_axial_slice_may_be_cut_off(codes, where):
    (notice,) = result_warnings(turned(mask_of((1, where)), codes))
    assert notice.code == "pancreas_cut_off"
    assert "first or last slice" in notice.sentence


def test_an_organ_at_the_side_of_the_picture_is_not_cut_off_along_the_body():
    assert result_warnings(turned(mask_of((1, np.s_[:10, :6, 3:9])), "SAL")) == []
