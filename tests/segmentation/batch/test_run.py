import itertools
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from abdomen_phantom import abdomen
from dicom_writing import IDENTIFIERS, ct_slices, other_series, save_all
from pydicom.uid import EnhancedSRStorage

import pancascade
from pancascade.errors import OutputError, UnknownModelError
from pancascade.execution import Finished
from pancascade.files.output_lock import lock_output
from pancascade.imaging.io import read_volume, write_volume
from pancascade.results.result import NAME as RESULT
from pancascade.segmentation.batch.batch_options import BatchOptions


def run_all(folder, out, executor, **options):
    return list(pancascade.segment_many([folder], out, executor=executor, **options))


def run(folder, out, executor, **options):
    return {case.scan.path.name: case for case in run_all(folder, out, executor, **options)}


def lines(out: Path) -> list[dict]:
    ledger = out / "ledger.jsonl"  # none where no case was ever known
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def test_every_scan_has_a_line_and_a_folder_and_a_bad_one_costs_no_other(finished):
    states = {name: case.entry.state for name, case in finished.cases.items()}
    assert states == {"MILLER.nii.gz": "done", "SMITH.nii.gz": "done", "JONES.nii.gz": "refused"}
    for name, case in finished.cases.items():
        written = {path.name for path in case.folder.iterdir()}
        done = {"segmentation.nii.gz", "overview.png", "report.html", "result.json"}
        assert written == (done if name != "JONES.nii.gz" else {"refusal.json"})
    reported = {line["case"]: line for line in lines(finished.out)}
    assert reported.keys() == {case.scan.case for case in finished.cases.values()}
    assert reported[finished.cases["JONES.nii.gz"].scan.case]["reason"]["code"]
    done = reported[finished.cases["SMITH.nii.gz"].scan.case]
    assert done["reason"] is None
    assert "pancreas_not_found" in {warning["code"] for warning in done["warnings"]}
    assert {path.name for path in finished.out.iterdir() if path.is_file()} == {
        "batch.json", "cohort.csv", "cohort.html", "ledger.jsonl",
    }  # fmt: skip


def test_a_model_is_loaded_once(finished):
    assert len(finished.loaded) == len(set(finished.loaded)) == 2  # its two steps


def test_the_mask_is_the_one_of_segment(finished, here):
    mask = read_volume(finished.cases["MILLER.nii.gz"].folder / "segmentation.nii.gz").voxels
    assert np.array_equal(mask, pancascade.segment(finished.scans / "MILLER.nii.gz").mask.voxels)
    assert mask.any()


def test_nothing_in_the_results_names_a_file(finished):
    written = b"".join(path.read_bytes() for path in finished.out.rglob("*") if path.is_file())
    for name in (b"MILLER", b"SMITH", b"JONES", b"deep", str(finished.root).encode()):
        assert name not in written


def test_called_by_its_file_a_scan_is_named(finished, here, tmp_path):
    (case,) = run(finished.scans / "MILLER.nii.gz", tmp_path / "out", here, names="file").values()
    assert case.folder == tmp_path / "out" / "MILLER"
    assert json.loads((case.folder / RESULT).read_text())["scan"] == "MILLER.nii.gz"


def test_of_dicom_no_identifier_is_in_the_results(here, tmp_path):
    volume, _ = abdomen()
    orders = ct_slices(
        volume.voxels.transpose(2, 1, 0),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, volume.spacing_mm[2]),
    )
    save_all(orders, tmp_path / "in" / "Doe^Jane" / "ct")
    report = other_series(EnhancedSRStorage, "1.2.826.0.9", Modality="SR", StudyInstanceUID="1.2.826.0.8")
    report.SeriesDescription = "Doe^Jane"
    save_all([report], tmp_path / "in" / "Doe^Jane" / "report")
    other, case = sorted(
        run_all(tmp_path / "in", tmp_path / "out", here), key=lambda case: case.entry.state, reverse=True
    )
    assert other.entry.reason.sentence == (
        f"{other.scan.case}: No series is an axial CT. There are: series without number (structured report). "
        "Give the folder of a CT series."
    )
    assert case.entry.state == "done"
    result = json.loads((case.folder / RESULT).read_text())
    assert (result["scan"], result["series"]) == (case.scan.case, None)
    for path in (tmp_path / "out").rglob("*"):
        text = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        assert not [name for name in (*IDENTIFIERS.values(), "1.2.826.0") if str(name).encode() in text]


def test_what_is_done_or_refused_is_not_repeated_and_what_has_changed_is(finished, here, out, tmp_path):
    before = lines(out)
    assert run(finished.scans, out, here, resume=True) == {}
    assert lines(out) == before
    moved = tmp_path / "list.csv"
    refused = finished.cases["JONES.nii.gz"].scan.case
    write_volume(abdomen()[0], tmp_path / "mended.nii.gz")
    moved.write_text(f"image,case\nmended.nii.gz,{refused}\n")
    (case,) = run(moved, out, here, resume=True).values()
    assert case.entry.state == "done"
    assert {path.name for path in case.folder.iterdir()} >= {"result.json"}
    assert not (case.folder / "refusal.json").exists()
    assert [line["case"] for line in lines(out)].count(refused) == 2


class Dying:
    """Every process dies at its job."""

    def run(self, work, jobs):
        for job in jobs:
            yield Finished(job, None, lost="it was killed")


def test_a_case_whose_process_died_is_a_line_and_is_tried_again_by_a_resumed_run(here, tiny_scans, tmp_path):
    out = tmp_path / "out"
    failed = run(tiny_scans, out, Dying())
    assert {case.entry.state for case in failed.values()} == {"failed"}
    assert all("--resume" in line["reason"]["sentence"] for line in lines(out))
    assert not (out / "cohort.html").exists()
    assert {case.entry.state for case in run(tiny_scans, out, here, resume=True).values()} == {"refused"}


def test_a_run_that_was_stopped_goes_on(here, tiny_scans, tmp_path):
    out = tmp_path / "out"
    cases = pancascade.segment_many([tiny_scans], out, executor=here)
    first = next(cases)
    cases.close()
    (out / ".pancascade-draft-0123").mkdir()  # as a killed process leaves one
    assert first.scan.path.name == "2.nii"  # the largest
    assert [line["case"] for line in lines(out)] == [first.scan.case]
    assert not (out / ".pancascade-lock").exists()
    assert len(run(tiny_scans, out, here, resume=True)) == 2
    assert len({line["case"] for line in lines(out)}) == len(lines(out)) == 3
    assert not (out / ".pancascade-draft-0123").exists()


def test_a_run_that_ended_before_its_first_case_binds_nobody(here, tiny_scans, tmp_path):
    out = tmp_path / "out"
    run(tiny_scans, out, here)
    (out / "ledger.jsonl").write_bytes(b"")
    assert len(run(tiny_scans, out, here, options=BatchOptions(tta=True))) == 3


def test_a_run_that_failed_before_its_first_case_leaves_nothing(tiny_scans, tmp_path):
    class Gone:
        def run(self, work, jobs):
            raise OutputError("No cluster answers.")
            yield

    with pytest.raises(OutputError, match="No cluster"):
        run_all(tiny_scans, tmp_path / "out", Gone())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_folder_with_a_batch_is_not_written_to_without_being_asked(here, tiny_scans, tmp_path):
    out = tmp_path / "out"
    run(tiny_scans, out, here)
    with pytest.raises(OutputError, match="holds a batch already"):
        run(tiny_scans, out, here)
    with pytest.raises(OutputError, match="begun with another tta"):
        run(tiny_scans, out, here, resume=True, options=BatchOptions(tta=True))
    with pytest.raises(OutputError, match="begun with another names"):
        run(tiny_scans, out, here, resume=True, names="order")
    with lock_output(out, what="x"), pytest.raises(OutputError, match="`x`, process"):
        run(tiny_scans, out, here, resume=True)


def test_an_edited_mask_is_never_replaced(finished, here, out, tmp_path):
    edited = finished.cases["MILLER.nii.gz"].scan.case
    (out / edited / "segmentation.nii.gz").write_bytes(b"mine")
    (tmp_path / "list.csv").write_text(f"image,case\n{finished.scans / 'deep' / 'SMITH.nii.gz'},{edited}\n")
    (case,) = run(tmp_path / "list.csv", out, here, resume=True).values()
    assert case.entry.state == "failed"
    assert "was edited" in case.entry.reason.sentence
    assert (out / edited / "segmentation.nii.gz").read_bytes() == b"mine"
    (out / edited / "segmentation.nii.gz").unlink()
    (case,) = run(tmp_path / "list.csv", out, here, resume=True).values()
    assert case.entry.state == "done", "what failed is tried again, though a former result lies there"


def test_a_result_that_is_gone_is_made_again(finished, here, out):
    gone = finished.cases["SMITH.nii.gz"].scan.case
    shutil.rmtree(out / gone)
    assert [case.scan.case for case in run(finished.scans, out, here, resume=True).values()] == [gone]
    assert (out / gone / RESULT).is_file()


def test_a_full_disk_ends_the_run(finished, here, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OutputError("no space left") from OSError("no space left")

    monkeypatch.setattr("pancascade.segmentation.segmentation.Segmentation.save", full)
    with pytest.raises(OutputError, match="no space left"):
        run(finished.scans, tmp_path / "out", here)
    assert not (tmp_path / "out").exists()


def test_seconds_are_those_of_the_case(here, tiny_scans, tmp_path, monkeypatch):
    monkeypatch.setattr("pancascade.segmentation.batch.case_work.time.perf_counter", itertools.count(0, 2.5).__next__)
    run(tiny_scans, tmp_path / "out", here)
    assert [line["seconds"] for line in lines(tmp_path / "out")] == [2.5, 2.5, 2.5]


def test_readers_may_warn_again_when_a_case_is_done(here, tiny_scans, tmp_path):
    logger = logging.getLogger("pancascade")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        run(tiny_scans, tmp_path / "out", here)
        assert logger.level == logging.WARNING
    finally:
        logger.setLevel(before)


def test_a_scan_that_masks_in_dicom_cannot_refer_to_costs_no_model(finished, here, tmp_path):
    options = BatchOptions(formats=("dicom-seg",))
    found = run(finished.scans, tmp_path / "out", here, options=options)
    assert {case.entry.state for case in found.values()} == {"failed"}
    assert here.loaded == []


def test_a_page_without_any_result_goes(here, tiny_scans, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    run(tiny_scans, out, here)
    for name in ("cohort.html", "cohort.csv"):
        (out / name).write_text("of another time")
    run(tiny_scans, out, here, resume=True)
    assert not (out / "cohort.html").exists()
    assert not (out / "cohort.csv").exists()


def test_models_are_told_to_processes_by_their_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").touch()
    options = BatchOptions(model=("mine.json", "qiu2024-small")).with_places()
    assert options.model == (str(tmp_path / "mine.json"), "qiu2024-small")


def test_a_model_that_cannot_be_used_ends_the_run_with_one_sentence(finished, here, tmp_path):
    with pytest.raises(UnknownModelError, match="no such model"):
        run(finished.scans, tmp_path / "out", here, options=BatchOptions(model=("nothing",)))
    assert {line["state"] for line in lines(tmp_path / "out")} <= {"refused"}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), "memory_shortage", "not enough memory"),
        (ZeroDivisionError("x"), "fault", "ZeroDivisionError: x"),
        (ArithmeticError("x at y:\nz"), "fault", "ArithmeticError: x at y: z. This"),
    ],
)
def test_too_little_memory_or_a_fault_of_ours_costs_one_case(finished, here, tmp_path, monkeypatch, error, code, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("pancascade.segmentation.segmenter.check_input", fail)
    found = run(finished.scans, tmp_path / "out", here)
    assert found["MILLER.nii.gz"].entry.reason.code == code
    assert said in found["MILLER.nii.gz"].entry.reason.sentence
    assert not found["MILLER.nii.gz"].folder.exists()
    assert found["JONES.nii.gz"].entry.state == "refused"


def test_a_list_of_masks_of_the_pancreas_gives_their_organs_and_a_missing_one_costs_its_own_case(here, tmp_path):
    scan, truth = abdomen()
    write_volume(scan, tmp_path / "scan.nii.gz")
    write_volume(scan.with_voxels((truth > 0) * np.uint8(7)), tmp_path / "MILLER_organ.nii.gz")
    rows = "image,case,pancreas,pancreas_label\nscan.nii.gz,good,MILLER_organ.nii.gz,7\n"
    (tmp_path / "list.csv").write_text(rows)
    (good,) = run_all(tmp_path / "list.csv", tmp_path / "out", here)
    assert np.array_equal(read_volume(good.folder / "segmentation.nii.gz").voxels > 0, truth > 0)
    assert "MILLER" not in (good.folder / "result.json").read_text()
    (tmp_path / "list.csv").write_text(rows.replace("good", "bad").replace(",7", ",8"))
    (bad,) = run_all(tmp_path / "list.csv", tmp_path / "bad", here)
    assert (bad.entry.state, bad.entry.reason.code) == ("refused", "pancreas_mask_empty")
    assert "MILLER" not in bad.entry.reason.sentence


def test_another_program_s_model_finds_the_pancreas_and_a_resumed_run_needs_the_same(here, tmp_path):
    write_volume(abdomen()[0], tmp_path / "scans" / "a.nii.gz")
    for name, content in (("mine.safetensors", b"1"), ("other.safetensors", b"2")):
        (tmp_path / name).write_bytes(content)
    options = BatchOptions(pancreas_model=str(tmp_path / "mine.safetensors"))
    out = tmp_path / "out"
    (case,) = run(tmp_path / "scans", out, here, options=options).values()
    assert "mine.safetensors" in {Path(path).name for path in here.loaded}
    assert json.loads((case.folder / "result.json").read_text())["model"] == "qiu2024-small after mine"
    reported = (out / "batch.json").read_text()
    assert "mine.safetensors " in reported
    assert str(tmp_path) not in reported
    assert run(tmp_path / "scans", out, here, resume=True, options=options) == {}
    for other in (None, str(tmp_path / "other.safetensors")):
        with pytest.raises(OutputError, match="begun with another pancreas_model"):
            run(tmp_path / "scans", out, here, resume=True, options=BatchOptions(pancreas_model=other))
    (tmp_path / "mine.safetensors").write_bytes(b"3")
    with pytest.raises(OutputError, match="begun with another pancreas_model"):
        run(tmp_path / "scans", out, here, resume=True, options=options)
