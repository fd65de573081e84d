import pytest
from pydantic import ValidationError

from pancascade.data.store.options import PrepareOptions, keeps
from pancascade.imaging.preprocessing import Window


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "volumes", "keep": "tumour"}, "a volume keeps all its slices"),
        ({"kind": "slices", "window": Window()}, "a window is for pictures"),
        ({"spacing_mm": (0.8, 0, 2.5)}, "spacing must be above 0 mm, got 0.8 0 2.5"),
        ({"spacing_mm": (0.8, float("nan"), 2.5)}, "finite"),
    ],
)
def test_options_that_do_not_fit_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        PrepareOptions(**settings)


@pytest.mark.parametrize(
    ("rule", "kept"), [("all", [True, True, True]), ("pancreas", [False, True, True]), ("tumour", [False, False, True])]
)
def test_slices_are_kept_by_what_they_show(rule, kept):
    shown = [(0, 0), (5, 0), (5, 2)]
    assert [keeps(rule, pancreas_pixels=organ, tumour_pixels=lesion) for organ, lesion in shown] == kept
