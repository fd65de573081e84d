import csv
import gzip
import json
import os
import re
import signal
import struct
import sys
from pathlib import Path

# The masks are drawn once, beside the tests of evaluation.
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import nibabel as nib
import numpy as np
import pytest
from gated_runs import GatedRun
from mask_cases import AFFINE, SHAPE, label_map

from pancascade.evaluation import PROTOCOLS, measure_case
from pancascade.evaluation.writing import FILES
from pancascade.files.output_lock import lock_output
from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.volume import Volume

TABLES = {*FILES, "tables.md", "tables.tex", "report.html", "cases"} - {"failures.csv", "pairs.csv", "ranks.csv"}


def save(labels: np.ndarray, path: Path, affine: np.ndarray = AFFINE) -> Path:
    write_volume(Volume(labels, affine), path)
    return path


def fill(folder: Path, *names: str, offset: int = 0) -> Path:
    for n, name in enumerate(names):
        save(label_map(n + offset), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture
def reference(tmp_path) -> Path:
    return fill(tmp_path / "reference", "a", "b", "c")


@pytest.fixture
def predictions(tmp_path) -> Path:
    return fill(tmp_path / "predictions", "a", "b", "c", offset=20)


@pytest.fixture
def evaluate(pancascade):
    def run(*arguments: object, workers: int = 1) -> tuple[int, str, str]:
        return pancascade("evaluate", *arguments, "--workers", workers)

    return run


@pytest.fixture
def without_report(monkeypatch) -> None:
    """Pictures take seconds, and have tests of their own."""
    monkeypatch.setattr(
        "pancascade.report.comparison.comparison_page.write_comparison",
        lambda path, *_, **__: path.write_text("report"),
    )


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """Names of the cases that were measured, and not taken from a record."""
    done: list[str] = []

    def counting(*volumes, **options):
        done.append(options["case"])
        return measure_case(*volumes, **options)

    monkeypatch.setattr("pancascade.evaluation.work.measure_case", counting)
    return done


def require_one_sentence(result: tuple[int, str, str]) -> str:
    code, out, err = result
    assert code == 2, out + err
    assert err.startswith("Error: ")
    assert err.count("\n") == 1, err
    assert err.endswith(".\n")
    assert "Traceback" not in out + err
    assert out.strip() == ""
    return err


def flat(out: str) -> str:
    """Without the line breaks of an 80-column terminal."""
    return " ".join(out.split())


def test_two_folders_give_every_table_and_exit_code_0(evaluate, predictions, reference, tmp_path):
    code, out, err = evaluate(predictions, reference, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == TABLES
    assert "predictions: pancreas, 3 scans of 3 patients" in flat(out)
    assert "predictions: tumour" in flat(out)
    assert "lesion sensitivity" in flat(out)
    assert flat(PROTOCOLS["default"].sentence()) in flat(out)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    pancreas = results["methods"]["predictions"]["summary"]["pancreas"]
    volumes = [
        measure_case(
            *(read_volume(folder / f"{name}.nii.gz") for folder in (reference, predictions)),
            case=name,
            protocol=PROTOCOLS["default"],
        )
        for name in "abc"
    ]
    dice = np.mean([record.targets["pancreas"].total.dice for record in volumes])
    assert pancreas["volumes"]["dice"]["mean"] == pytest.approx(dice)
    assert f"{dice:.4f}" in out


def test_without_out_nothing_is_written(evaluate, predictions, reference, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code, out, err = evaluate(predictions, reference)
    assert (code, err) == (0, "")
    assert "Dice" in out
    assert sorted(tmp_path.rglob("*")) == before


def test_two_single_files_are_compared_whatever_their_names(evaluate, predictions, reference):
    code, out, _ = evaluate(predictions / "a.nii.gz", reference / "b.nii.gz")
    assert code == 0
    assert "1 scan of 1 patient" in flat(out)


def test_a_second_run_measures_nothing_and_says_the_same(
    evaluate, without_report, predictions, reference, tmp_path, measured
):
    _, first, _ = evaluate(predictions, reference, "--out", tmp_path / "out")
    results = (tmp_path / "out" / "results.json").read_bytes()
    assert measured == ["a", "b", "c"]
    code, second, _ = evaluate(predictions, reference, "--out", tmp_path / "out")
    assert code == 0
    assert measured == ["a", "b", "c"]
    assert second == first
    assert (tmp_path / "out" / "results.json").read_bytes() == results


def test_several_processes_say_what_one_says(evaluate, predictions, reference):
    assert evaluate(predictions, reference, workers=2) == evaluate(predictions, reference, workers=1)


def test_some_bad_cases_are_told_and_the_rest_has_numbers(evaluate, without_report, predictions, reference, tmp_path):
    (predictions / "b.nii.gz").write_bytes(b"no image")
    (predictions / "c.nii.gz").unlink()
    save(label_map(9), predictions / "d.nii.gz")
    code, out, err = evaluate(predictions, reference, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert "1 scan of 1 patient" in flat(out)
    for case in ("b", "c", "d"):
        assert f"No numbers for {case} of predictions: {case}.nii.gz: " in out
    with (tmp_path / "out" / "failures.csv").open() as lines:
        assert [row["case"] for row in csv.DictReader(lines)] == ["b", "c", "d"]
    assert "failures" in (tmp_path / "out" / "results.json").read_text()


def test_what_is_printed_is_never_read_as_markup(evaluate, tmp_path):
    name = "[red]odd[b] [nan, nan]"
    fill(tmp_path / name, "[bold]", "y")
    fill(tmp_path / "reference", "[bold]", "z")
    code, out, _ = evaluate(tmp_path / name, tmp_path / "reference")
    assert code == 1
    assert f"{name}: pancreas" in flat(out)
    assert f"No numbers for y of {name}: " in out


def test_odd_names_and_links_are_names(evaluate, without_report, tmp_path):
    names = ("with space", "Пациент 7 ü", "-dash", "a|b&c_%", "x" * 200)
    fill(tmp_path / "real", *names)
    fill(tmp_path / "reference", *names)
    (tmp_path / "linked").mkdir()
    for name in names:
        (tmp_path / "linked" / f"{name}.nii.gz").symlink_to(tmp_path / "real" / f"{name}.nii.gz")
    code, _, err = evaluate(tmp_path / "linked", tmp_path / "reference", "--out", tmp_path / "out put")
    assert (code, err) == (0, "")
    with (tmp_path / "out put" / "cases.csv").open(encoding="utf-8") as lines:
        assert {row["case"] for row in csv.DictReader(lines)} == set(names)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_named_protocol_runs(evaluate, predictions, reference, name):
    code, out, _ = evaluate(predictions, reference, "--protocol", name)
    assert code == 0
    assert f"protocol {name};" in flat(out)


def test_options_change_the_protocol(evaluate, predictions, reference, tmp_path):
    (tmp_path / "mine.yaml").write_text("headline: pooled\nempty: {both: skip}\n")
    options = ("--labels", "organ=1+2", "--tolerance-mm", "3", "--tolerance-mm", "0.5", "--surface", "voxel")
    code, out, _ = evaluate(predictions, reference, "--protocol", tmp_path / "mine.yaml", *options)
    assert code == 0
    for words in ("protocol mine;", "labels organ=1+2;", "both empty: skip", "surface: voxel; NSD at 0.5, 3 mm"):
        assert words in flat(out)
    assert "predictions: organ" in out


def test_a_missing_prediction_may_count_as_empty(evaluate, predictions, reference):
    (predictions / "b.nii.gz").unlink()
    code, out, _ = evaluate(predictions, reference, "--missing", "empty")
    assert code == 0
    assert "1 missed" in flat(out)


def test_another_grid_is_resampled_on_demand(evaluate, predictions, reference):
    save(label_map(3), predictions / "b.nii.gz", AFFINE @ np.diag([1.1, 1, 1, 1]))
    code, out, _ = evaluate(predictions, reference)
    assert code == 1
    assert "pass --resample" in out
    assert evaluate(predictions, reference, "--resample")[0] == 0


def test_patients_and_scores_come_from_tables(evaluate, predictions, reference, tmp_path):
    (tmp_path / "patients.csv").write_text("case,patient\na,p\nb,p\n")
    (tmp_path / "scores.csv").write_text("case,score\na,0.5\nb,0.25\nc,0.75\n")
    options = ("--patients", tmp_path / "patients.csv", "--scores", tmp_path / "scores.csv")
    code, out, _ = evaluate(predictions, reference, *options)
    assert code == 0
    assert "3 scans of 2 patients" in flat(out)


def test_tables_may_spell_the_cases_otherwise(evaluate, predictions, reference, tmp_path):
    (tmp_path / "patients.csv").write_bytes("Case;Patient\r\nA.nii.gz;Müller\r\nb_0000;Müller\r\n".encode("utf-16"))
    code, out, _ = evaluate(predictions, reference, "--patients", tmp_path / "patients.csv")
    assert code == 0
    assert "3 scans of 2 patients" in flat(out)


def test_a_table_of_patients_of_other_cases_is_refused(evaluate, predictions, reference, tmp_path):
    (tmp_path / "patients.csv").write_text("case,patient\nz,p\n")
    err = require_one_sentence(evaluate(predictions, reference, "--patients", tmp_path / "patients.csv"))
    assert "The table of patients names none of the cases (for example z, but a is one)" in err


def test_one_patient_gives_numbers_without_intervals(evaluate, tmp_path, without_report):
    truth, found = (fill(tmp_path / name, "a", offset=offset) for name, offset in (("true", 0), ("found", 20)))
    code, out, _ = evaluate(found, truth, "--out", tmp_path / "out")
    assert code == 0
    assert "[–]" in out
    assert not re.search(r"\[[0-9.]+, [0-9.]+\]", out)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (method,) = results["methods"].values()
    for statistic in method["summary"]["pancreas"]["volumes"].values():
        assert (statistic["low"], statistic["high"]) == (None, None)
    for number in method["detection"]["numbers"].values():
        assert (number["low"], number["high"]) == (None, None)


def test_a_label_map_stored_with_a_slope_is_one(evaluate, predictions, reference):
    for folder in (predictions, reference):
        image = nib.Nifti1Image(label_map(0).astype(np.int16), AFFINE)
        image.header.set_slope_inter(1.0000153, 0)
        nib.save(image, folder / "a.nii.gz")
    assert nib.load(reference / "a.nii.gz").get_fdata().max() != 2
    code, out, _ = evaluate(predictions, reference)
    assert code == 0
    assert "3 scans" in flat(out)


def test_a_folder_that_another_run_writes_to_is_refused(evaluate, pancascade, predictions, reference, tmp_path):
    out = tmp_path / "out"
    verbs = (
        ("evaluate", predictions, reference, "--out", out),
        ("compare", reference, predictions, f"other={predictions}", "--out", out),
    )
    for verb in verbs:
        with lock_output(out, what="pancascade evaluate"):
            (out / "results.json").write_text("the other's")
            err = require_one_sentence(pancascade(*verb))
            assert "`pancascade evaluate`, process" in err
            assert (out / "results.json").read_text() == "the other's"
            assert not (out / "cases").exists()


def test_a_folder_in_which_nothing_was_written_is_gone(evaluate, predictions, tmp_path):
    require_one_sentence(evaluate(predictions, tmp_path / "no such folder", "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


UNUSABLE = {
    "no such predictions": (["{p}x", "{r}"], "Error: predictionsx: there is no such file or folder"),
    "no such reference": (["{p}", "{r}x"], "Error: referencex: there is no such file or folder"),
    "a file and a folder": (
        ["{p}/a.nii.gz", "{r}"],
        "Error: a.nii.gz and reference: one is a file, the other a folder",
    ),
    "an unknown protocol": (["{p}", "{r}", "--protocol", "qiu2042"], "qiu2042: no such protocol; known are default, "),
    "no such protocol file": (["{p}", "{r}", "--protocol", "{t}/no.yaml"], "no.yaml: not a readable protocol"),
    "no labels": (["{p}", "{r}", "--labels", "pancreas"], "labels 'pancreas': write them like pancreas=1+2,tumour=2"),
    "label 0": (["{p}", "{r}", "--labels", "x=0"], "labels 'x=0': write them like"),
    "a label that is a word": (["{p}", "{r}", "--labels", "x=one"], "labels 'x=one': write them like"),
    "a target of two words": (["{p}", "{r}", "--labels", "a b=1"], "a target's name is one word"),
    "other targets": (["{p}", "{r}", "--reference-labels", "pancraes=1"], "name no pancreas, tumour"),
    "tolerance 0": (["{p}", "{r}", "--tolerance-mm", "0"], "--tolerance-mm: "),
    "tolerance NaN": (["{p}", "{r}", "--tolerance-mm", "nan"], "--tolerance-mm: "),
    "surface": (["{p}", "{r}", "--surface", "banana"], "--surface: Input should be 'surfel' or 'voxel', got 'banana'"),
    "missing": (["{p}", "{r}", "--missing", "banana"], "--missing: "),
    "other labels": (["{p}", "{r}", "--other-labels", "banana"], "--other-labels: "),
    "hit": (["{p}", "{r}", "--hit", "banana"], "--hit: "),
    "candidates": (["{p}", "{r}", "--candidates", "banana"], "--candidates: "),
    "least IoU": (["{p}", "{r}", "--least-iou", "1.5"], "--least-iou: "),
    "no such scores": (["{p}", "{r}", "--scores", "{t}/no.csv"], "no.csv: there is no such file"),
    "no such patients": (["{p}", "{r}", "--patients", "{t}/no.csv"], "no.csv: there is no such file"),
    "patients that are masks": (
        ["{p}", "{r}", "--patients", "{p}/a.nii.gz"],
        "a.nii.gz, line ",
    ),
    "no such confidence": (["{p}", "{r}", "--confidence", "{t}/no"], "Error: no: there is no such file or folder"),
    "no such scans": (["{p}", "{r}", "--scans", "{t}/no"], "Error: no: there is no such file or folder"),
    "candidates without a map": (
        ["{p}", "{r}", "--candidates", "map"],
        "no case could be compared. The first reason: ",
    ),
}


@pytest.mark.parametrize(("arguments", "says"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_used_is_one_sentence(evaluate, predictions, reference, tmp_path, arguments, says):
    places = {"p": predictions, "r": reference, "t": tmp_path}
    err = require_one_sentence(evaluate(*(text.format(**places) for text in arguments)))
    assert says in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("headline: banana", "headline: should be"),
        ("metricks: [dice]", "metricks: no such key"),
        ("metrics: [dicee]", "unknown metric dicee"),
        ("metrics: []", "metrics: "),
        ("labels: {pancreas: []}", "labels: "),
        ("resamples: 3", "resamples: "),
        ("- a list", "not a readable protocol"),
        ("", "not a readable protocol"),
        ("a: [", "not a readable protocol"),
        ("\x00", "not a readable protocol"),
    ],
)
def test_a_protocol_file_that_is_none(evaluate, predictions, reference, tmp_path, text, says):
    (tmp_path / "p.yaml").write_text(text)
    err = " ".join(evaluate(predictions, reference, "--protocol", tmp_path / "p.yaml")[2].split())
    assert err.startswith("Error: p.yaml: ")
    assert says in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column case, score"),
        ("case,score\n", "a header but no rows"),
        ("name,score\na,1\n", "no column case"),
        ("case,score\na,high\n", "line 2: score is 'high', not a number"),
        ("case,score\na,nan\n", "line 2: score is 'nan', not a number"),
        ("case,score\na,\n", "line 2: no score"),
        ("case,score\na\n", "line 2: no score"),
        ("case,score\na,1\na,2\n", "line 3: names the case a again"),
        ("case,score\nz,1\n", "names none of the cases"),
    ],
)
def test_a_table_of_scores_that_is_none(evaluate, predictions, reference, tmp_path, text, says):
    (tmp_path / "scores.csv").write_text(text)
    err = require_one_sentence(evaluate(predictions, reference, "--scores", tmp_path / "scores.csv"))
    assert re.match(r"Error: (scores\.csv(, line \d+)?: |The table of scores )", err)
    assert says in err


def with_affine(value: float):
    """A header whose sform and qform hold this number."""

    def make(path: Path) -> None:
        content = bytearray(gzip.decompress(save(label_map(0), path).read_bytes()))
        for offset in (256, 280, 296, 312):
            content[offset : offset + 4] = struct.pack("<f", value)
        path.write_bytes(gzip.compress(bytes(content)))

    return make


def raw(content: bytes):
    return lambda path: path.write_bytes(content)


def image(voxels: np.ndarray):
    return lambda path: nib.save(nib.Nifti1Image(voxels, AFFINE), path)


def truncated(path: Path) -> None:
    path.write_bytes(save(label_map(0), path).read_bytes()[:-30])


def flipped(path: Path) -> None:
    """A bit of the compressed voxels, which only gzip's checksum tells."""
    content = bytearray(save(label_map(0), path).read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


BAD = {
    "zero bytes": (raw(b""), "empty"),
    "a text": (raw(b"hello"), "not a NIfTI|damaged"),
    "gzip of nothing": (raw(gzip.compress(b"")), "not a NIfTI|damaged"),
    "gzip of a text": (raw(gzip.compress(b"hello" * 200)), "not a NIfTI|damaged"),
    "truncated": (truncated, "ends too early|damaged"),
    "a flipped bit": (flipped, "damaged"),
    "4-D": (image(np.zeros((*SHAPE, 2), np.uint8)), "several scans"),
    "2-D": (image(np.zeros(SHAPE[:2], np.uint8)), "three axes"),
    "colours": (image(np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])), "colours"),
    "complex": (image(np.zeros(SHAPE, np.complex64)), "complex"),
    "NaN in the affine": (with_affine(float("nan")), "header is damaged"),
    "infinite affine": (with_affine(float("inf")), "header is damaged"),
    "probabilities": (image(np.full(SHAPE, 0.5, np.float32)), r"holds values such as 0\.5.*Threshold"),
    "NaN": (image(np.full(SHAPE, np.nan, np.float32)), "NaN or infinite"),
    "huge labels": (image(np.full(SHAPE, 2**31 - 1, np.int32)), "label 2147483647"),
    "negative labels": (image(np.full(SHAPE, -3, np.int16)), "label -3"),
    "a CT": (image(np.random.default_rng(0).integers(-1024, 1500, SHAPE).astype(np.int16)), "label -10"),
}


@pytest.mark.parametrize("where", ["predictions", "reference"])
@pytest.mark.parametrize(("make", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_alone_is_one_sentence_that_names_it(evaluate, predictions, reference, where, make, says):
    path = {"predictions": predictions, "reference": reference}[where] / "a.nii.gz"
    make(path)
    err = require_one_sentence(evaluate(predictions / "a.nii.gz", reference / "a.nii.gz"))
    assert f"{path.name}: " in err  # after "no case could be compared. The first reason" where both fit in one sentence
    assert re.search(says, err), err


def test_an_out_that_is_a_file_is_refused_before_any_work(evaluate, predictions, reference, tmp_path, measured):
    (tmp_path / "out").write_text("mine")
    err = require_one_sentence(evaluate(predictions, reference, "--out", tmp_path / "out"))
    assert "out: cannot be written" in err
    assert (tmp_path / "out").read_text() == "mine"
    assert measured == []


def test_an_out_without_permission_is_refused_before_any_work(
    evaluate, predictions, reference, tmp_path, monkeypatch, measured
):
    """Root may write everywhere, so the refusal is made up."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    if os.geteuid() == 0:
        monkeypatch.setattr("pancascade.files.output_lock.os.open", refuse)
    (tmp_path / "out").mkdir(mode=0o500)
    err = require_one_sentence(evaluate(predictions, reference, "--out", tmp_path / "out"))
    assert "out: cannot be written (Permission denied)" in err
    assert measured == []


def test_a_wrong_option_is_the_users_error(pancascade, predictions, reference):
    for options in (["--banana"], ["--workers", "-1"], ["--workers", "many"], ["--least-iou", "x"]):
        code, _, err = pancascade("evaluate", predictions, reference, *options)
        assert code == 2
        assert "Traceback" not in err
        assert options[0] in err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("interrupt", "workers"), [(os.killpg, 1), (os.killpg, 2), (os.kill, 2)])
def test_ctrl_c_ends_with_a_sentence_and_keeps_what_is_finished(tmp_path, interrupt, workers):
    """Ctrl-C reaches all processes of the terminal, a scheduler's signal the first one only."""
    cases = 6
    for n in range(cases):
        fill(tmp_path / "reference", f"{n:02}")
        fill(tmp_path / "predictions", f"{n:02}", offset=20)
    arguments = ["evaluate", "predictions", "reference", "--out", "out", "--workers", workers]
    run = GatedRun(*arguments, folder=tmp_path, closed_to=r"reference/0[2-9]\.nii\.gz$")
    run.wait_at_gate(workers=workers)
    interrupt(run.process.pid, signal.SIGINT)
    if interrupt is os.kill:  # the others finish what they are at
        run.wait_for("ending")
        run.open_gate()
    err = run.end()
    run.open_gate()
    assert run.process.returncode == 130, err
    assert err.count("\n") == 1, err
    assert err.startswith("Interrupted.")
    kept = sorted((tmp_path / "out" / "cases").iterdir())
    assert [json.loads(path.read_text())["record"]["case"] for path in kept] == [path.stem for path in kept]
    finished = [path.stem for path in kept]
    assert finished[:2] == ["00", "01"]
    assert interrupt is os.kill or len(finished) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cases"]
