import csv
import os
from pathlib import Path

import pytest

from pancascade.errors import DataError, UnreadableError
from pancascade.segmentation.batch.inputs import find_inputs, write_mapping


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())


def cases(*paths: Path, **options) -> dict[str, Path]:
    return {scan.case: scan.path for scan in find_inputs(paths, **options)}


def test_scans_of_a_folder_are_found_at_any_depth_and_what_is_none_is_not(tmp_path):
    touch(
        *(tmp_path / name for name in ("a.nii.gz", "b/c/D.NII", "b/e.mha", "f.zip", "notes.txt", ".h/g.nii", ".i.nii"))
    )
    found = {path.relative_to(tmp_path).as_posix() for path in cases(tmp_path).values()}
    assert found == {"a.nii.gz", "b/c/D.NII", "b/e.mha", "f.zip"}


def test_results_are_no_inputs(tmp_path):
    touch(tmp_path / "a.nii", tmp_path / "out" / "x" / "segmentation.nii.gz")
    touch(tmp_path / "old" / "segmentation.nii.gz", tmp_path / "old" / "result.json")
    touch(tmp_path / "old" / "corrections" / "001.nii.gz")
    assert list(cases(tmp_path, out=tmp_path / "out").values()) == [tmp_path / "a.nii"]


def test_a_scan_that_is_named_twice_is_one(tmp_path):
    touch(tmp_path / "a.nii")
    (tmp_path / "link").symlink_to(tmp_path)
    assert len(cases(tmp_path, tmp_path / "a.nii", tmp_path / "link" / "a.nii")) == 1


def test_names_tell_nothing_and_stay_when_others_come(tmp_path):
    touch(tmp_path / "MILLER.nii", tmp_path / "SMITH.nii")
    before = cases(tmp_path)
    assert not any("MILLER" in name or "SMITH" in name for name in before)
    touch(tmp_path / "JONES.nii")
    assert before.items() <= cases(tmp_path).items()
    (tmp_path / "SMITH.nii").write_bytes(b"other")
    assert cases(tmp_path).keys() > before.keys()


def test_a_scan_with_other_content_has_another_stamp(tmp_path):
    touch(tmp_path / "a.nii")
    (before,) = find_inputs([tmp_path])
    (tmp_path / "a.nii").write_bytes(b"longer than before")
    (after,) = find_inputs([tmp_path])
    assert (before.case, before.stamp == after.stamp) == (after.case, False)
    os.utime(tmp_path / "a.nii", ns=(1, 1))
    (of_another_day,) = find_inputs([tmp_path])
    assert (after.case, after.stamp == of_another_day.stamp) == (of_another_day.case, False)


def test_cases_can_be_numbered_or_called_by_their_files_without_collision(tmp_path):
    touch(*(tmp_path / name for name in ("a/scan.nii", "b/SCAN.nii.gz", "c/we ird?.nii")))
    assert list(cases(tmp_path, names="order")) == ["case-0001", "case-0002", "case-0003"]
    assert list(cases(tmp_path, names="file")) == ["scan", "SCAN-2", "we_ird"]


def test_a_long_file_s_name_is_cut(tmp_path):
    touch(tmp_path / f"{'a' * 200}.nii", tmp_path / f"{'a' * 201}.nii")
    assert list(cases(tmp_path, names="file")) == ["a" * 80, f"{'a' * 80}-2"]


def test_a_series_is_asked_of_dicom_alone(tmp_path):
    touch(tmp_path / "a.nii")
    (scan,) = find_inputs([tmp_path], series="portal")
    assert scan.series is None


def test_a_list_names_scans_cases_and_series(tmp_path):
    touch(tmp_path / "a.nii", tmp_path / "b.nii")
    (tmp_path / "list.csv").write_text("Image;case;series\na.nii;first;portal\nb.nii;;\nmissing.nii;x;\n")
    first, second, missing = find_inputs([tmp_path / "list.csv"], names="order")
    assert (first.path, first.case, first.series) == (tmp_path / "a.nii", "first", "portal")
    assert (second.case, second.series) == ("case-0002", None)
    assert missing.path.name == "missing.nii"


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("a.nii,../x", "list.csv, line 2: the case's name may only have letters"),
        ("a.nii,x\nb.nii,X", "Two scans are called X"),
        ("a.nii,Ledger.jsonl", "called Ledger.jsonl, as a file of the batch"),
        ("a.nii,cohort.html", "called cohort.html, as a file of the batch"),
        (",x", "no image"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, rows, fault):
    touch(tmp_path / "a.nii", tmp_path / "b.nii")
    (tmp_path / "list.csv").write_text(f"image,case\n{rows}\n")
    with pytest.raises(DataError) as refused:
        find_inputs([tmp_path / "list.csv"])
    assert fault in str(refused.value)


def test_no_scan_and_no_such_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="no scan was found"):
        find_inputs([tmp_path])
    with pytest.raises(UnreadableError, match="there is no such file or folder"):
        find_inputs([tmp_path / "nowhere"])


def test_the_mapping_tells_which_case_is_which_scan(tmp_path):
    touch(tmp_path / "in" / "a.nii")
    scans = find_inputs([tmp_path / "in"])
    write_mapping(tmp_path / "map.csv", scans)
    with (tmp_path / "map.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row == {"case": scans[0].case, "input": str(tmp_path / "in" / "a.nii"), "series": ""}


def test_a_list_names_masks_of_the_pancreas_and_another_mask_is_another_input(tmp_path):
    touch(tmp_path / "a.nii", tmp_path / "organ.nii", tmp_path / "other.nii.gz")
    stamps = []
    for mask, labels in (("organ.nii", "7;9"), ("organ.nii", "7"), ("other.nii.gz", "7")):
        (tmp_path / "list.csv").write_text(f'image,pancreas,pancreas_label\na.nii,{mask},"{labels}"\n')
        (scan,) = find_inputs([tmp_path / "list.csv"])
        assert (scan.pancreas, scan.pancreas_label) == (tmp_path / mask, tuple(labels.split(";")))
        stamps.append(scan.stamp)
    assert len(set(stamps)) == 3


def test_no_case_replaces_a_file_of_the_batch(tmp_path):
    names = ("ledger.jsonl", "batch.json", "cohort.html", "COHORT.csv")
    touch(*(tmp_path / f"{name}.nii" for name in names))
    assert set(cases(tmp_path, names="file")) == {f"{name}-2" for name in names}
