"""``pancascade segment --keep-doubtful``: what is no plausible pancreas is marked only where it is asked for."""

import json

import pytest
from abdomen_phantom import HounsfieldCascade, described

from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import Box


class Corners(HounsfieldCascade):
    """Stage 2 finds two pixels of each box: far less than a pancreas."""

    def segment(self, images, located):
        few = tuple(tuple(corner(box) for box in boxes) for boxes in located.boxes)
        return super().segment(images, type(located)(located.probabilities, few))


def corner(box: Box) -> Box:
    middle = tuple((start + stop) // 2 for start, stop in zip(box.start, box.stop, strict=True))
    return Box(middle, tuple(place + 2 for place in middle))


@pytest.fixture
def sees_corners(monkeypatch):
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr(
        "pancascade.inference.runners.torch_runners.load_checkpoint", lambda path: (Corners(), described())
    )


def result_of(folder) -> dict:
    return json.loads((folder / "result.json").read_text())


def codes(result) -> list[str]:
    return [notice["code"] for notice in result["notices"]]


def test_a_doubtful_result_is_withheld_and_the_command_says_so(pancascade, sees_corners, scan, tmp_path):
    code, out, err = pancascade("segment", scan, "--out", tmp_path / "out")
    assert code == 0
    result = result_of(tmp_path / "out")
    assert not read_volume(tmp_path / "out" / "segmentation.nii.gz").voxels.any()
    assert {"doubtful_withheld", "location_doubtful", "pancreas_not_found"} <= set(codes(result))
    assert "--keep-doubtful" in " ".join(result["warnings"])
    assert "Nothing is marked" in (out + err).replace("\n", " ")
    assert "Nothing is marked" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert result["location"]["plausibility"] < 0.2


def test_with_the_option_it_is_marked_and_stays_doubtful(pancascade, sees_corners, scan, tmp_path):
    assert pancascade("segment", scan, "--out", tmp_path / "out", "--keep-doubtful")[0] == 0
    result = result_of(tmp_path / "out")
    assert read_volume(tmp_path / "out" / "segmentation.nii.gz").voxels.any()
    assert "doubtful_withheld" not in codes(result)
    assert "location_doubtful" in codes(result)


def test_a_plausible_result_is_the_same_with_and_without_the_option(pancascade, knows_the_phantom, scan, tmp_path):
    for name, options in (("plain", ()), ("kept", ("--keep-doubtful",))):
        assert pancascade("segment", scan, "--out", tmp_path / name, *options)[0] == 0
    plain, kept = (read_volume(tmp_path / name / "segmentation.nii.gz").voxels for name in ("plain", "kept"))
    assert plain.any()
    assert (plain == kept).all()
    assert result_of(tmp_path / "plain")["location"] == result_of(tmp_path / "kept")["location"]
