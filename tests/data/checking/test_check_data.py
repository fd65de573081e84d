"""A whole data set checked: planted faults named, sound sets accused of nothing, finished cases kept."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from abdomen_set import abdomen, save, write_msd

from pancascade.data.checking.case_statistics import CaseStatistics
from pancascade.data.checking.check import DataCheck, check
from pancascade.data.checking.check_tables import write_check
from pancascade.data.checking.issues import Issue, Severity
from pancascade.data.checking.loose_files import find_loose
from pancascade.data.readers import Case, Layout, msd
from pancascade.errors import DataError


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_msd(tmp_path / "Task07", patients=3)


@pytest.fixture(autouse=True)
def no_duplicates(monkeypatch):
    """The drawn patients share too much; a test that wants pairs asks for them."""
    monkeypatch.setattr("pancascade.data.checking.check.find_duplicates", lambda images: [])


def accused(found) -> set[tuple[str, str | None]]:
    return {(one.kind, one.case) for one in found.issues if one.severity is not Severity.NOTE}


def test_a_sound_set_is_accused_of_nothing(folder):
    found = check([folder])
    assert [statistics.name for statistics in found.statistics] == ["p0", "p1", "p2"]
    assert found.issues == ()
    assert found.worst is None


def test_what_each_label_was_taken_for_is_noted_where_its_name_leaves_room(folder):
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"labels": {"0": "background", "1": "pancreas", "2": "liver tumor"}}))
    found = check([folder])
    (note,) = (one for one in found.issues if one.kind == "label-meaning")
    assert note.message == "Task07: takes label 1 (pancreas) as pancreas; 2 (liver tumor) as background."
    assert note.severity is Severity.NOTE
    assert {statistics.label.tumour_ml for statistics in found.statistics} == {0}


def test_one_bad_case_never_loses_the_others(folder):
    (folder / "imagesTr/p1.nii.gz").write_bytes(b"no scan")
    found = check([folder])
    assert accused(found) == {("unreadable", "p1")}
    assert found.worst is Severity.ERROR
    assert [statistics.label is not None for statistics in found.statistics] == [True, False, True]


def test_several_faults_are_each_named_at_their_case(folder):
    _, labels = abdomen(0)
    save(labels[:, :, ::-1], folder / "labelsTr/p0.nii.gz")
    save(np.zeros_like(labels), folder / "labelsTr/p1.nii.gz")
    (folder / "labelsTr/p2.nii.gz").unlink()
    assert accused(check([folder])) == {("flipped-label", "p0"), ("empty-label", "p1"), ("missing-file", "p2")}


def test_the_images_of_all_sets_are_compared_with_each_other(folder, tmp_path, monkeypatch):
    other = write_msd(tmp_path / "Other", patients=1)
    seen = []
    monkeypatch.setattr("pancascade.data.checking.check.find_duplicates", lambda images: seen.extend(images) or [])
    check([folder, other])
    assert [(image.source, image.name) for image in seen] == [
        ("Task07", "p0"),
        ("Task07", "p1"),
        ("Task07", "p2"),
        ("Other", "p0"),
    ]
    assert seen[0].hash == seen[3].hash != seen[1].hash


def test_files_of_no_case_are_found_and_test_images_left_alone(folder):
    hu, labels = abdomen()
    save(labels, folder / "labelsTr/lonely.nii.gz")
    save(hu, folder / "imagesTs/test.nii.gz")
    save(hu, folder / "imagesTr/.hidden.nii.gz")
    (folder / "imagesTr/notes.txt").write_text("no image")
    assert find_loose(folder, msd(folder)) == [folder / "labelsTr/lonely.nii.gz"]
    assert accused(check([folder])) == {("loose-file", None)}


def test_a_second_run_measures_only_what_changed(folder, tmp_path, monkeypatch):
    first = check([folder], records=tmp_path / "records")
    save(abdomen(7)[0], folder / "imagesTr/p1.nii.gz")
    measured = []
    from pancascade.data.checking.case_statistics import measure

    def counted(case, **options):
        measured.append(case.name)
        return measure(case, **options)

    monkeypatch.setattr("pancascade.data.checking.check.measure", counted)
    second = check([folder], records=tmp_path / "records")
    assert measured == ["p1"]
    assert (second.statistics[0], second.statistics[2]) == (first.statistics[0], first.statistics[2])
    assert second.statistics[1] != first.statistics[1]


def test_records_hold_for_a_moved_set_and_name_its_new_files(folder, tmp_path, monkeypatch):
    check([folder], records=tmp_path / "records")
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    monkeypatch.setattr("pancascade.data.checking.check.measure", None)
    found = check([moved], records=tmp_path / "records")
    assert found.statistics[0].image_file == "p0.nii.gz"
    assert found.statistics[0].source == "moved"


def test_a_damaged_record_is_made_anew(folder, tmp_path):
    first = check([folder], records=tmp_path / "records")
    for record in (tmp_path / "records").iterdir():
        record.write_text("{")
    assert check([folder], records=tmp_path / "records") == first


def test_another_meaning_of_the_labels_is_another_record(folder, tmp_path):
    check([folder], records=tmp_path / "records")
    content = json.loads((folder / "dataset.json").read_text())
    content["labels"] = {"0": "background", "1": "tumour", "2": "pancreas"}
    (folder / "dataset.json").write_text(json.dumps(content))
    found = check([folder], records=tmp_path / "records")
    assert found.statistics[0].label.tumour_ml > found.statistics[0].label.pancreas_ml


def test_a_fault_is_looked_at_again(folder, tmp_path):
    good = (folder / "labelsTr/p1.nii.gz").read_bytes()
    (folder / "labelsTr/p1.nii.gz").unlink()
    assert accused(check([folder], records=tmp_path / "records")) == {("missing-file", "p1")}
    (folder / "labelsTr/p1.nii.gz").write_bytes(good)
    assert accused(check([folder], records=tmp_path / "records")) == set()


def test_progress_counts_the_cases(folder):
    calls = []
    check([folder], progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_other_processes_give_the_same(folder):
    assert check([folder], workers=2) == check([folder])


def test_a_process_that_dies_costs_its_case(folder, monkeypatch):
    def died(work, jobs, *, workers, executor):
        for number, job in enumerate(jobs):
            yield job, None if number == 1 else work(job)

    monkeypatch.setattr("pancascade.data.checking.check.each_job", died)
    found = check([folder])
    assert accused(found) == {("unreadable", "p1")}
    assert "died" in found.issues[0].message


def test_of_several_sets_an_unreadable_one_is_a_finding(folder, tmp_path):
    found = check([tmp_path / "nowhere", folder])
    assert accused(found) == {("unreadable", None)}
    assert len(found.statistics) == 3
    with pytest.raises(DataError, match="nowhere"):
        check([tmp_path / "nowhere"])


def test_regions_are_not_taken_for_scans(folder, monkeypatch):
    asked = []
    monkeypatch.setattr("pancascade.data.checking.check.read_data_set", lambda path, **options: msd(folder))
    from pancascade.data.checking.case_statistics import measure

    def noted(case: Case, *, region: bool):
        asked.append(region)
        return measure(case, region=region)

    monkeypatch.setattr("pancascade.data.checking.check.measure", noted)
    assert {statistics.field for statistics in check([folder], layout=Layout.REGION_FOLDER).statistics} == {"region"}
    assert asked == [True, True, True]


def test_tables_hold_every_case_and_finding(folder, tmp_path):
    (folder / "labelsTr/p2.nii.gz").unlink()
    write_check(check([folder]), tmp_path / "out")
    content = json.loads((tmp_path / "out/check.json").read_text())
    assert content["worst"] == "error"
    assert [case["name"] for case in content["cases"]] == ["p0", "p1", "p2"]
    assert "thumbnail" not in content["cases"][0]
    cases = (tmp_path / "out/cases.csv").read_text().splitlines()
    assert len(cases) == 4
    assert "error:missing-file" in cases[3]
    issues = (tmp_path / "out/findings.csv").read_text().splitlines()
    assert issues[0] == "severity,kind,source,case,patient,message,others"
    assert issues[1].startswith(f"error,missing-file,{folder.name},p2,p2,")


def test_cases_of_one_name_in_two_data_sets_keep_their_own_findings():
    statistics = [CaseStatistics(name="one", patient="p", source=source) for source in ("here", "there")]
    issue = Issue(kind="empty-label", severity=Severity.ERROR, message="m", case="one", patient="p", source="there")
    found = DataCheck(tuple(statistics), (issue,))
    assert [found.of_case(one) for one in statistics] == [[], [issue]]
