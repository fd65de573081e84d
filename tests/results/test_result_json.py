import json
import re

import numpy as np
import pytest

from pancascade.errors import OutputError, UnreadableError
from pancascade.imaging.volume import Volume
from pancascade.messages.notices import Notice
from pancascade.results.measurements import label_sizes
from pancascade.results.result import Result, ScanGrid, read_result, write_result

AFFINE = np.array([[4.0, -6, 0, 100], [3, 8, 0, -50], [0, 0, 2, 10], [0, 0, 0, 1]])


@pytest.fixture
def mask() -> Volume:
    voxels = np.zeros((5, 4, 6), np.uint8)
    voxels[1:3, 2, :4], voxels[2, 2, 1] = 1, 2
    return Volume(voxels, AFFINE)


def strictly(text: str) -> dict:
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def result_of(mask: Volume, scan: str = "s") -> Result:
    return Result(
        scan=scan,
        model="m",
        measurements=label_sizes(mask),
        grid=ScanGrid(shape=mask.shape, affine=mask.affine.tolist()),
        notices=(Notice(code="careful", about="input", sentence="Be careful.", values={"share": 0.5}),),
        warnings=("Be careful.",),
        times_s={"read": 0.5},
    )


def test_the_result_holds_everything_a_machine_needs(mask, tmp_path):
    path = tmp_path / "result.json"
    write_result(result_of(mask, "ä scan.nii.gz"), path)
    result = strictly(path.read_text())
    assert result["scan"] == "ä scan.nii.gz"
    assert result["model"] == "m"
    assert result["labels"] == {"0": "background", "1": "pancreas", "2": "tumour"}
    assert result["measurements"] == label_sizes(mask)
    assert result["grid"] == {"shape": [5, 4, 6], "affine": AFFINE.tolist()}
    assert result["warnings"] == ["Be careful."]
    (notice,) = result["notices"]
    assert (notice["code"], notice["severity"], notice["values"]) == ("careful", "warning", {"share": 0.5})
    assert result["times_s"] == {"read": 0.5}
    assert result["identifiers"] is None
    assert {"pancascade", "torch", "numpy", "nibabel"} <= result["versions"].keys()
    assert all(re.match(r"\d+\.\d+", version) for version in result["versions"].values())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", result["created"])
    assert "Not for clinical use" in result["use"]


def test_what_was_written_is_read_back(mask, tmp_path):
    result = result_of(mask)
    write_result(result, tmp_path / "result.json")
    assert read_result(tmp_path) == read_result(tmp_path / "result.json") == result


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"scan": 3}'])
def test_what_is_no_result_is_one_sentence(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UnreadableError, match=rf"^result\.json in {tmp_path.name}: not"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    "grid",
    [
        {"shape": [0, 4, 4], "affine": np.eye(4).tolist()},
        {"shape": [4, 4, 4], "affine": []},
        {"shape": [4, 4, 4], "affine": np.eye(4)[:3].tolist()},
        {"shape": [4, 4, 4], "affine": (np.eye(4) * 1e308).tolist()},
    ],
)
def test_a_grid_that_is_none_is_one_sentence(mask, tmp_path, grid):
    write_result(result_of(mask), tmp_path / "result.json")
    changed = json.loads((tmp_path / "result.json").read_text()) | {"grid": grid}
    (tmp_path / "result.json").write_text(json.dumps(changed))
    with pytest.raises(UnreadableError, match=rf"^result\.json in {tmp_path.name}: not a result .*\(grid\."):
        read_result(tmp_path)


def test_json_nested_without_end_is_one_sentence(tmp_path):
    (tmp_path / "result.json").write_text("[" * 200_000)
    with pytest.raises(UnreadableError, match="not readable as a result"):
        read_result(tmp_path)


def test_a_result_of_an_older_version_is_told_apart(mask, tmp_path):
    write_result(result_of(mask), tmp_path / "result.json")
    older = strictly((tmp_path / "result.json").read_text())
    del older["format"]
    (tmp_path / "result.json").write_text(json.dumps(older))
    with pytest.raises(UnreadableError, match="older version") as caught:
        read_result(tmp_path)
    assert caught.value.code == "result_too_old"


def test_an_empty_mask_writes_nulls_and_no_nan(mask, tmp_path):
    path = tmp_path / "result.json"
    write_result(result_of(mask.with_voxels(np.zeros_like(mask.voxels))), path)
    result = strictly(path.read_text())
    assert result["measurements"]["tumour"] == {"voxels": 0, "volume_ml": 0.0, "box_mm": None}


def test_a_name_that_is_no_utf_8_is_written_all_the_same(mask, tmp_path):
    path = tmp_path / "result.json"
    write_result(result_of(mask, "caf\udce9.nii.gz"), path)
    assert strictly(path.read_text())["scan"].startswith("caf")


def test_a_failed_write_leaves_the_former_result_and_nothing_else(mask, tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("former")

    def half(self, text, **_):
        with self.open("w") as file:
            file.write(text[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_text", half)
    with pytest.raises(OutputError, match=r"result\.json: cannot be written, the disk is full"):
        write_result(result_of(mask), path)
    assert [found.name for found in tmp_path.iterdir()] == ["result.json"]
    assert path.read_text() == "former"
