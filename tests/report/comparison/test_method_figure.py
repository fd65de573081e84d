"""Methods side by side on the same slices."""

import numpy as np
import pytest
from PIL import Image

from pancascade.errors import DataError, OutputError
from pancascade.evaluation import Method, Protocol, compare, evaluate
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume
from pancascade.report.comparison.method_figure import draw_methods, require_suffix, rows_of, write_method_figure

SHAPE, SPACING = (40, 36, 6), np.diag((1.0, 1.0, 3.0, 1.0))
TARGET = "pancreas"


def square(top, side, *, tall=range(1, 5)):
    labels = np.zeros(SHAPE, np.uint8)
    for k in tall:
        labels[top : top + side, 10 : 10 + side + (k == 3), k] = 1
    return labels


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Six cases: method `near` misses a row or more, `far` the more the later the case."""
    folder = tmp_path_factory.mktemp("figure")
    for case in range(6):
        truth = square(10, 10)
        drawn = {
            "reference": truth,
            "near": square(11, 10),
            "far": square(10 + case, 10),
            "scan": truth.astype(np.int16) * 90 - 100,
        }
        for name, voxels in drawn.items():
            write_volume(Volume(voxels.astype(np.int16), SPACING), folder / name / f"c{case}.nii.gz")
    protocol = Protocol(labels={TARGET: (1,)}, metrics=("dice",), resamples=100)
    methods = [Method(name, folder / name) for name in ("near", "far")]
    evaluations = evaluate(methods, folder / "reference", protocol=protocol)
    return folder, evaluations, compare(evaluations, targets=[TARGET])


def test_a_row_is_a_case_from_best_to_worst_and_a_column_a_method(compared):
    _, evaluations, comparison = compared
    rows = rows_of(evaluations, comparison, target=TARGET, scans={})
    assert [list(row.views) for row in rows] == [["near", "far"]] * 4
    errors = [np.count_nonzero(row.views["far"].reference ^ row.views["far"].prediction) for row in rows]
    assert errors == sorted(errors)
    assert errors[0] == 0 < errors[-1]


def test_all_methods_show_the_slice_with_most_of_the_target_cut_alike(compared):
    folder, evaluations, comparison = compared
    scans = {f"c{case}": folder / "scan" / f"c{case}.nii.gz" for case in range(6)}
    for row in rows_of(evaluations, comparison, target=TARGET, scans=scans):
        views = list(row.views.values())
        assert {view.first_slice for view in views} == {3}
        assert len({view.prediction.shape for view in views}) == 1
        assert np.array_equal(views[0].scan > -50, views[0].reference)


def test_the_grid_has_an_axes_for_each_row_and_method_and_the_names_on_top(compared):
    _, evaluations, comparison = compared
    figure = draw_methods(rows_of(evaluations, comparison, target=TARGET, scans={}))
    assert [axes.get_title() for axes in figure.axes][:3] == ["near", "far", ""]
    assert len(figure.axes) == 8


def test_the_figure_is_written_whole_and_other_endings_are_refused(compared, tmp_path):
    _, evaluations, comparison = compared
    write_method_figure(tmp_path / "figure.png", evaluations, comparison, target=TARGET, scans={})
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width > 500
    with pytest.raises(OutputError, match=r"figure\.gif: a figure is a \.png, \.pdf, \.svg"):
        require_suffix(tmp_path / "figure.gif")


def test_without_a_scan_that_shows_the_target_there_is_no_figure(compared):
    _, evaluations, comparison = compared
    empty = [type(one)(one.method, one.protocol, (), ()) for one in evaluations]
    with pytest.raises(DataError, match="no whole scan shows the target"):
        rows_of(empty, comparison, target=TARGET, scans={})
