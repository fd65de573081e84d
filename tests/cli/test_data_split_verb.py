import json
from pathlib import Path

import numpy as np
import pytest

from pancascade.data.splits.splits import read_split
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def data(tmp_path):
    """An nnU-Net set of twelve patients: four without tumour, four with a small one, four with a large one."""
    folder = tmp_path / "Dataset007"
    names = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1, "tumour": 2}}
    for patient in range(12):
        labels = np.zeros((8, 8, 8), np.uint8)
        labels[2:6, 2:6, 2:6] = 1
        labels.reshape(-1)[: (0, 1, 60)[patient % 3]] = 2
        write_volume(Volume(labels, np.diag((10.0, 10.0, 10.0, 1.0))), folder / "labelsTr" / f"c{patient:02d}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps(names))
    return folder


@pytest.fixture
def split(pancascade, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *arguments: pancascade("data", "split", *arguments, "--workers", 1)


def require_one_sentence(result):
    code, out, err = result
    assert code == 2, out + err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    return err


def test_a_place_that_cannot_be_written_is_refused_before_any_mask_is_read(split, data, tmp_path, monkeypatch):
    monkeypatch.setattr("pancascade.data.splits.tumour_sizes.read_tumour_sizes", lambda *_, **__: pytest.fail("read"))
    (tmp_path / "file").touch()
    said = require_one_sentence(split(data, "--parts", 50, 25, 25, "--out", tmp_path / "file" / "s.json"))
    assert "cannot be written" in said


def test_a_split_is_written_with_how_it_was_made_and_spreads_the_tumours(split, data, tmp_path):
    code, out, err = split(data, "--parts", 50, 25, 25, "--seed", 7, "--out", tmp_path / "s.json")
    assert (code, err) == (0, "")
    written = json.loads((tmp_path / "s.json").read_text())
    assert {key: written[key] for key in ("design", "seed", "source")} == {
        "design": "50-25-25",
        "seed": 7,
        "source": ["Dataset007"],
    }
    assert written["note"] == "Seeded draw of shares 50-25-25 of the patients."
    assert written["patients"]["number"] == 12
    kinds = [[int(name[1:]) % 3 for name in written[part]] for part in ("train", "validation", "test")]
    assert [[part.count(kind) for kind in range(3)] for part in kinds] == [[2, 2, 2], [1, 1, 1], [1, 1, 1]]
    assert "no tumour" in out
    assert "tumour over 4 cm" in out
    again = split(data, "--parts", 50, 25, 25, "--seed", 7, "--out", tmp_path / "t.json")
    assert again[0] == 0
    assert (tmp_path / "t.json").read_bytes() == (tmp_path / "s.json").read_bytes()


def test_a_paper_s_design_says_that_it_is_not_the_paper_s_list(split, data, tmp_path):
    code, out, _ = split(data, "--design", "qiu2024-msd", "--out", tmp_path / "s.json")
    assert code == 0
    note = json.loads((tmp_path / "s.json").read_text())["note"]
    assert note.startswith("Seeded draw of the sizes of Qiu et al. 2024 (MSD), not the paper's lists")
    assert "qiu2024-msd is for 281 patients, here are 12: split in proportion" in note
    assert "qiu2024-msd is for 281 patients, here are 12: split in proportion" in out


def test_folds_are_written_as_folds(split, data, tmp_path):
    code, out, _ = split(data, "--design", "five-fold", "--out", tmp_path / "s.json")
    assert code == 0
    assert "fold: 0" in out
    tested = [read_split(tmp_path / "s.json", fold=fold)["test"] for fold in range(5)]
    assert sorted(name for fold in tested for name in fold) == [f"c{n:02d}" for n in range(12)]


def test_patients_that_a_check_found_twice_stay_together(split, data, tmp_path):
    finding = {"kind": "duplicate-patient", "severity": "error", "message": ".", "case": "c00", "others": ["c07"]}
    stranger = finding | {"case": "c01", "others": ["x99"]}
    (tmp_path / "check.json").write_text(json.dumps({"findings": [finding, stranger]}))
    for seed in range(8):
        out = tmp_path / f"{seed}.json"
        code, reported, _ = split(
            data, "--parts", 1, 1, 1, "--seed", seed, "--out", out, "--duplicates", tmp_path / "check.json"
        )
        assert code == 0
        assert "names x99, which is not in this data" in reported
        assert any({"c00", "c07"} <= part for part in read_split(out).values())


def test_a_damaged_label_map_is_told_and_costs_only_its_own_size(split, data, tmp_path):
    (data / "labelsTr" / "c05.nii.gz").write_bytes(b"nothing")
    code, out, _ = split(data, "--design", "70-10-20", "--out", tmp_path / "s.json")
    assert code == 0
    assert "Size unknown: " in out
    assert "c05.nii.gz" in out
    assert any("c05" in part for part in read_split(tmp_path / "s.json").values())


def test_a_prepared_store_is_split_by_its_table(split, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "store").mkdir()
    rows = {"case": ["a", "b", "c", "d"], "patient": ["p", "q", "r", "p"], "tumour_ml": [0.0, 1.0, 1.0, 0.0]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "store" / "cases.parquet")
    assert split(tmp_path / "store", "--parts", 1, 1, 1, "--out", tmp_path / "s.json")[0] == 0
    assert sorted(len(part) for part in read_split(tmp_path / "s.json").values()) == [1, 1, 1]


def test_what_cannot_be_is_one_sentence(split, data, tmp_path):
    out = tmp_path / "s.json"
    assert "Give one of --design" in require_one_sentence(split(data, "--out", out))
    assert "no such design" in require_one_sentence(split(data, "--design", "qiu", "--out", out))
    assert "c00: not a patient of NIH" in require_one_sentence(split(data, "--design", "zhao2019", "--out", out))
    assert "train has one" in require_one_sentence(split(data, "--parts", 0, 1, 1, "--out", out))
    (tmp_path / "check.json").write_text("{")
    report = ("--duplicates", tmp_path / "check.json")
    assert "not a readable report" in require_one_sentence(split(data, "--parts", 1, 1, 1, "--out", out, *report))
    assert not out.exists()
    out.write_text("mine")
    assert "exists already" in require_one_sentence(split(data, "--design", "five-fold", "--out", out))
    assert out.read_text() == "mine"


@pytest.mark.shared
def test_real_tumours_are_spread_by_size(split, tmp_path):
    if not (SHARED / "pdac_roi").is_dir():
        pytest.skip("needs ../shared/data")
    code, out, err = split(SHARED / "pdac_roi", "--design", "70-10-20", "--out", tmp_path / "s.json")
    assert (code, err) == (0, "")
    assert [len(part) for part in read_split(tmp_path / "s.json").values()] == [44, 6, 13]
    assert "tumour of 2 to 4 cm" in out
