import numpy as np
import pytest
from PIL import Image

from pancascade.errors import OutputError
from pancascade.metrics.calibration import Reliability, Scaling, apply_scaling
from pancascade.report.comparison.reliability_figure import write_reliability


def _pair():
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    truth = rng.random(5000) < apply_scaling(p, Scaling(3))
    return Reliability.of(p, truth), Reliability.of(apply_scaling(p, Scaling(3)), truth)


def test_each_panel_makes_the_picture_wider(tmp_path):
    for count in (1, 2):
        write_reliability(tmp_path / f"{count}.png", {f"panel {n}": _pair() for n in range(count)}, said_by="all")
    with Image.open(tmp_path / "1.png") as one, Image.open(tmp_path / "2.png") as two:
        assert two.width > 1.8 * one.width
        assert len(np.unique(np.asarray(two.convert("L")))) > 10


def test_empty_bins_are_left_out(tmp_path):
    few = Reliability.of([0.2, 0.9], [False, True])
    write_reliability(tmp_path / "few.png", {"few": (few, few)}, said_by="all")
    assert (tmp_path / "few.png").stat().st_size > 5000


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        write_reliability(tmp_path / "file" / "plot.png", {"a": _pair()}, said_by="all")
