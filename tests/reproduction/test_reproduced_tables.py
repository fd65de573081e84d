"""Tables made again from small data sets: two rows of Qiu's, L-SNet's, DSMS U-Net's and Zhao's, one fold."""

import json
import logging
import re
import shutil
import sys

import pytest
from tiny_tables import tiny_paper, write_tiny_msd, write_tiny_nih

from pancascade.cli.app import main
from pancascade.data.readers import Layout
from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError, OutputError
from pancascade.evaluation.localization import LocalizationRow
from pancascade.reproduction import Choices, DataPlace, Request, Resources, prepare, reproduce
from pancascade.reproduction.measuring import stage_one_values
from pancascade.reproduction.training_run import RUN, finished
from pancascade.training.state import LAST

KEPT = ("table.md", "table.tex", "table.html", "table.json")


@pytest.fixture(scope="module")
def msd(tmp_path_factory):
    return write_tiny_msd(tmp_path_factory.mktemp("msd") / "Task07_Pancreas")


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    return write_tiny_nih(tmp_path_factory.mktemp("nih") / "Pancreas-CT", numbers=(1, 21, 41, 62))


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("pancascade").setLevel(logging.ERROR)
    yield
    logging.getLogger("pancascade").setLevel(logging.NOTSET)


def asked(paper, table, data, out, *, layout, resume=False, **choices):
    place = DataPlace(data, DataReading(layout=layout))
    chosen = Choices("small", epochs=choices.pop("epochs", 1), **choices)
    return Request(str(paper), table, place, out, chosen, resume=resume)


def made(request):
    prepared = prepare(request)
    reported = []
    table, failures = reproduce(prepared, Resources(prepared.trainings, reported=reported.append))
    assert failures == []
    return table, reported


def document(out):
    return json.loads((out / "table.json").read_text(encoding="utf-8"))


def rows_of(out):
    return {row["name"]: row for row in document(out)["rows"]}


@pytest.fixture(scope="module")
def table_3(msd, tmp_path_factory):
    """Rows U and M of Qiu's Table 3, made by the command in two sittings."""
    folder = tmp_path_factory.mktemp("table3")
    paper, out = tiny_paper("qiu2024", folder), folder / "out"
    words = ["reproduce", str(paper), "3", "--data", str(msd), "--out", str(out), "--scale", "small", "--epochs", "1"]
    for more in (["--rows", "U"], ["--rows", "M", "--resume"]):
        sys.argv = ["pancascade", *words, "--workers", "1", *more]
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
    return paper, out


def test_two_rows_of_qius_ablation_stand_beside_the_published_ones(table_3):
    _, out = table_3
    assert all((out / name).is_file() for name in KEPT)
    rows = rows_of(out)
    assert [row for row in rows if rows[row]["made"]] == ["U", "M"]
    cell = rows["U"]["cells"][0]
    assert cell["published"] == 0.4913
    assert cell["difference"] == pytest.approx(cell["ours"] - 0.4913)
    assert cell["low"] is None  # of one test patient there is no interval
    assert (rows["M-P"]["cells"][0]["published"], rows["M-P"]["cells"][0]["ours"]) == (0.5319, None)
    training = rows["U"]["trainings"][0]
    assert re.fullmatch(r"[0-9a-f]{32}", training["weights_digest"])
    assert (training["cascade"]["network"]["name"], training["epochs"], training["test_cases"]) == ("unet", 1, 1)


def test_rows_that_were_not_made_are_grey_in_every_kind_of_text(table_3):
    _, out = table_3
    texts = {name: (out / name).read_text(encoding="utf-8") for name in KEPT}
    assert "| *M-P* | *0.5319* | *–* | *–* |" in texts["table.md"]
    assert r"\textcolor{gray}{M-P} & \textcolor{gray}{0.5319}" in texts["table.tex"]
    assert '<tr class="quoted"><th><div>M-P ' in texts["table.html"]
    assert "| U | 0.4913 |" in texts["table.md"]


def test_counts_found_stand_beside_the_papers(table_3):
    _, out = table_3
    counts = {count["what"]: (count["found"], count["published"]) for count in document(out)["counts"]}
    assert counts["cases"] == ("5", "281")
    assert counts["training cases"] == ("4", "216")
    assert counts["slices with tumour"][1] == "2537"
    assert int(counts["slices with tumour"][0]) > 0


def test_a_planned_comparison_is_tested_once_both_rows_are_there(table_3):
    _, out = table_3
    (test,) = document(out)["comparisons"]
    assert (test["first"], test["second"], test["pairs"]) == ("M", "U", 1)


def test_no_place_of_a_file_and_no_patient_stands_in_a_table(table_3, msd):
    _, out = table_3
    text = "".join((out / name).read_text(encoding="utf-8") for name in KEPT)
    assert str(msd.parent) not in text
    assert not re.search(r"\bp[0-4]\b", text)


def test_the_page_loads_nothing(table_3):
    _, out = table_3
    page = (out / "table.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "Not the paper&#39;s experiment" in page or "Not the paper's experiment" in page


def test_a_finished_row_is_not_made_again(table_3, msd):
    paper, out = table_3
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    request = asked(paper, "3", msd, out, layout=Layout.MSD, resume=True, rows=("U", "M"))
    _, reported = made(request)
    assert reported == []
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"resume": False}, "holds a table already. Continue with --resume"),
        ({"seed": 1}, "was begun with seed 0, but now it is 1"),
        ({"epochs": 2}, "was begun with epochs 1, but now it is 2"),
    ],
)
def test_a_folder_goes_on_only_with_what_it_was_begun_with(table_3, msd, change, reported):
    paper, out = table_3
    with pytest.raises(OutputError, match=reported):
        prepare(asked(paper, "3", msd, out, layout=Layout.MSD, **{"resume": True, **change}))


def test_a_test_case_that_cannot_be_predicted_is_named(table_3, msd, tmp_path, monkeypatch):
    paper, out = table_3
    out = shutil.copytree(out, tmp_path / "out")
    prepared = prepare(asked(paper, "3", msd, out, layout=Layout.MSD, resume=True, rows=("U",)))

    def without_one(plan, training, *_, **__):
        made = finished(prepared.whole, training, prepared.trainings)
        return made.model_copy(update={"failed": {"p9": "p9.nii.gz: the file is empty."}})

    monkeypatch.setattr(sys.modules[reproduce.__module__], "run_training", without_one)
    _, failures = reproduce(prepared, Resources(prepared.trainings))
    assert failures == ["No numbers for p9: p9.nii.gz: the file is empty."]
    assert "1 test cases could not be predicted" in (out / "table.md").read_text(encoding="utf-8")


def test_masks_of_other_software_are_measured_like_ours(table_3, msd, tmp_path):
    paper, out = table_3
    (case,) = json.loads((out / "split.json").read_text())["test"]
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / f"{case}.nii.gz").write_bytes((msd / "labelsTr" / f"{case}.nii.gz").read_bytes())
    request = asked(
        paper, "1", msd, tmp_path / "out", layout=Layout.MSD, rows=("nnUnet",), masks={"nnUnet": tmp_path / "masks"}
    )
    made(request)
    cells = rows_of(tmp_path / "out")["nnUnet"]["cells"]
    assert [cell["ours"] for cell in cells] == [1.0, 1.0, 1.0]


def test_a_run_that_was_stopped_goes_on_where_it_was(nih, tmp_path, monkeypatch):
    request = asked(
        tiny_paper("lsnet", tmp_path),
        "3",
        nih,
        tmp_path / "out",
        layout=Layout.NIH_PANCREAS_CT,
        rows=("L-Net",),
        epochs=2,
    )
    prepared = prepare(request)

    def stop(run, done, batches):
        if run.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(prepared, Resources(prepared.trainings, trained=stop))
    (training,) = prepared.plan.trainings
    assert (prepared.trainings / training.name / RUN / LAST).is_file()
    assert not (tmp_path / "out" / "table.json").exists()
    epochs = []
    request = asked(
        request.paper, "3", nih, request.out, layout=Layout.NIH_PANCREAS_CT, rows=("L-Net",), epochs=2, resume=True
    )
    prepared = prepare(request)
    reproduce(prepared, Resources(prepared.trainings, trained=lambda run, done, batches: epochs.append(run.epoch)))
    assert set(epochs) == {1}
    cells = {cell["column"]: cell for cell in rows_of(tmp_path / "out")["L-Net"]["cells"]}
    assert 0 <= cells["mIoU"]["ours"] <= 100
    assert 0 < cells["Params"]["ours"] < 1
    assert cells["DCS"]["count"] > 1


def test_dsms_unets_table_is_made_and_tested_as_planned(msd, tmp_path):
    names = ("U-Net", "DSMSC U-Net")
    table, _ = made(asked(tiny_paper("dsms_unet", tmp_path), "1", msd, tmp_path / "out", layout=Layout.MSD, rows=names))
    assert [(test.first, test.second) for test in table.tests] == [("DSMSC U-Net", "U-Net")]
    assert [cell["published"] for cell in rows_of(tmp_path / "out")["DSMSC U-Net"]["cells"]] == [0.8283, 0.8970, 0.9013]
    assert len(list((tmp_path / "out" / "trainings").iterdir())) == 2


def test_one_fold_of_zhaos_table_serves_three_tables(nih, tmp_path):
    paper, shared = tiny_paper("zhao2019", tmp_path), tmp_path / "trainings"
    reported = {}
    for number in ("1", "2", "3"):
        request = asked(
            paper,
            number,
            nih,
            tmp_path / number,
            layout=Layout.NIH_PANCREAS_CT,
            folds=(0,),
            epochs=2,
            rows=("F0",) if number != "3" else ("Ours (Coarse)", "Ours (Refine)"),
        )
        prepared = prepare(Request(**{**vars(request), "trainings": shared}))
        reported[number] = []
        _, failures = reproduce(prepared, Resources(shared, reported=reported[number].append))
        assert failures == []
    assert any(line.startswith("training") for line in reported["1"])
    assert not any(line.startswith("training") for line in (*reported["2"], *reported["3"]))
    first = {cell["column"]: cell for cell in rows_of(tmp_path / "1")["F0"]["cells"]}
    coarse = rows_of(tmp_path / "3")["Ours (Coarse)"]["cells"][0]
    assert all(isinstance(cell["ours"], float) for cell in first.values())
    assert first["Stage 1 mean DSC"]["ours"] == coarse["ours"]
    boxes = {cell["column"]: cell["ours"] for cell in rows_of(tmp_path / "2")["F0"]["cells"]}
    assert all(0 <= value <= 100 for value in boxes.values())
    assert len(list(shared.iterdir())) == 1


def test_single_slices_are_refused_for_volumes(tmp_path):
    request = asked("zhao2019", "1", tmp_path, tmp_path / "out", layout=Layout.SLICE_FOLDER)
    with pytest.raises(DataError):
        prepare(request)


@pytest.mark.parametrize(
    ("dice", "wanted"),
    [
        ({"stage 1's grid": 0.25, "full grid": 0.75}, {"first_dice_reduced": 0.25, "first_dice": 0.75}),
        ({"stage 1's grid": 0.5}, {"first_dice": 0.5}),
        ({}, {}),
    ],
)
def test_stage_1_s_dsc_is_taken_from_the_grids_that_it_is_measured_on(dice, wanted):
    row = LocalizationRow("case", "patient", {}, dice)
    found = stage_one_values([row], training=False)
    assert {quantity: one.value for quantity, (one,) in found.items()} == wanted
    assert stage_one_values([row], training=True) == {}
