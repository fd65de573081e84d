"""What a table needs: recipes of rows, trainings that rows share, splits, time."""

import json

import pytest
import yaml
from tiny_tables import tiny_paper, write_tiny_msd

from pancascade.cli.reproduce_options import choose
from pancascade.data.readers import Layout
from pancascade.data.readers.data_reading import DataReading
from pancascade.errors import DataError
from pancascade.reproduction import Choices, DataPlace, Request, find_table, prepare, read_published, time_plan
from pancascade.reproduction.counted_cases import CountedCases
from pancascade.reproduction.preflight import Preflight
from pancascade.reproduction.row_recipe import recipe_digest, row_recipe, shared_out
from pancascade.reproduction.table_split import folds_of


@pytest.fixture(scope="module")
def msd(tmp_path_factory):
    return write_tiny_msd(tmp_path_factory.mktemp("msd") / "Task07_Pancreas")


def table_of(name, number):
    return find_table(read_published(name), number)


def recipe_of(name, number, row, **options):
    table = table_of(name, number)
    return row_recipe(table, table.row(row), **{"scale": "small", "regions": False, "seed": 0, **options})


def test_a_row_changes_the_tables_recipe_and_nothing_else():
    whole, part = (recipe_of("qiu2024", "3", row, scale="paper") for row in ("M-P-T-L-F", "M-P-T-L"))
    assert part["cascade"]["second"]["options"] == {"focusing": False}
    assert whole["cascade"]["second"] == {"name": "focusing_net", "preset": "paper"}
    assert {key: value for key, value in part.items() if key != "cascade"} == {
        key: value for key, value in whole.items() if key != "cascade"
    }
    assert [(phase["name"], phase["epochs"]) for phase in whole["phases"]] == [("S", 2), ("I", 4), ("J", 50)]


def test_regions_get_a_canvas_of_their_own_at_our_scale_only():
    whole, regions = (recipe_of("qiu2024", "3", "U", regions=regions)["canvas"]["size"] for regions in (False, True))
    assert (whole, regions) == ([192, 256], [128, 176])
    assert recipe_of("qiu2024", "3", "U", regions=True, scale="paper")["canvas"]["size"] == [512, 512]


@pytest.mark.parametrize(("epochs", "expected"), [(56, [2, 4, 50]), (28, [1, 2, 25]), (5, [1, 1, 3]), (1, [1, 1, 1])])
def test_epochs_are_shared_out_as_the_recipe_does_and_each_phase_keeps_one(epochs, expected):
    phases = [{"name": "S", "epochs": 2}, {"name": "I", "epochs": 4}, {"name": "J", "epochs": 50}]
    assert [phase["epochs"] for phase in shared_out(phases, epochs)] == expected


def test_a_training_is_named_by_what_its_weights_depend_on():
    recipe = recipe_of("qiu2024", "3", "U")
    key = {"data": "msd", "split": "abc", "fold": None, "keep": "tumour"}
    digest = recipe_digest(recipe, **key)
    assert recipe_digest({**recipe, "name": "other", "description": ""}, **key) == digest
    for change in ({"seed": 1}, {"batch_size": 3}):
        assert recipe_digest({**recipe, **change}, **key) != digest
    for change in ({"data": "nih"}, {"split": "abd"}, {"fold": 0}, {"keep": "all"}):
        assert recipe_digest(recipe, **{**key, **change}) != digest


def prepared(tmp_path, msd, *, table="3", change=None, **more):
    paper = tiny_paper("qiu2024", tmp_path)
    if change is not None:
        content = yaml.safe_load(paper.read_text(encoding="utf-8"))
        change(content)
        paper.write_text(yaml.safe_dump(content), encoding="utf-8")
    choices = Choices("small", epochs=2, **more.pop("choices", {}))
    place = DataPlace(msd, DataReading(layout=Layout.MSD))
    return prepare(Request(str(paper), table, place, tmp_path / "out", choices, **more))


def test_rows_that_need_the_same_weights_share_a_training(tmp_path, msd):
    def twice(content):
        rows = content["tables"]["3"]["rows"]
        rows.append({**rows[0], "name": "U again"})

    plan = prepared(tmp_path, msd, change=twice, choices={"rows": ("U", "M", "U again")}).plan
    assert plan.rows["U"] == plan.rows["U again"]
    assert len(plan.trainings) == 2


def test_a_row_whose_recipe_is_none_costs_no_other_one(tmp_path, msd):
    def spoil(content):
        content["tables"]["3"]["rows"][1]["make"]["changes"]["cascade"] = {"kind": "strange"}

    plan = prepared(tmp_path, msd, change=spoil, choices={"rows": ("U", "M")}).plan
    assert list(plan.rows) == ["U"]
    assert "'strange' is none of" in plan.faults["M"]


def test_a_split_of_folds_of_ones_own_is_run_fold_by_fold(tmp_path, msd):
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"folds": [["p0", "p1"], ["p2", "p3"], ["p4"]]}))
    plan = prepared(tmp_path, msd, split=mine, choices={"rows": ("U",)}).plan
    assert [fold.number for fold in plan.folds] == [0, 1, 2]
    assert [fold.test.patients for fold in plan.folds] == [("p0", "p1"), ("p2", "p3"), ("p4",)]
    assert len(plan.rows["U"]) == 3


def test_a_split_of_ones_own_is_kept_when_going_on_and_no_other_is_taken(tmp_path, msd):
    mine, other = tmp_path / "mine.json", tmp_path / "other.json"
    mine.write_text(json.dumps({"train": ["p4", "p0"], "validation": [], "test": ["p1"], "note": "mine"}))
    other.write_text(json.dumps({"train": ["p0"], "validation": [], "test": ["p1"]}))
    first = prepared(tmp_path, msd, split=mine, choices={"rows": ("U",)})
    again = prepared(tmp_path, msd, split=mine, choices={"rows": ("U",)}, resume=True)
    assert first.plan.trainings[0].name == again.plan.trainings[0].name
    with pytest.raises(DataError, match="not the split that this folder was begun with"):
        prepared(tmp_path, msd, split=other, choices={"rows": ("U",)}, resume=True)


@pytest.mark.parametrize(
    ("choices", "reported"),
    [
        ({"rows": ("nnUnet",)}, "nnUnet: is only quoted, for nnU-Net trains itself"),
        ({"folds": (1,)}, "--folds 1: the split has no folds"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_trained(tmp_path, msd, choices, reported):
    with pytest.raises(DataError, match=reported):
        prepared(tmp_path, msd, table="1", choices=choices)


def test_time_is_that_of_all_steps_that_are_left(tmp_path, msd):
    plan = prepared(tmp_path, msd, choices={"rows": ("U",)})
    (estimate,) = time_plan(plan).estimates
    batches = -(-plan.plan.folds[0].train.kept("tumour") // 8)
    assert estimate.steps == 2 * batches
    assert estimate.training_s > 0
    assert estimate.prediction_s > 0


def test_the_gpu_is_an_estimate_that_says_where_it_is_from():
    here, gpu = Preflight((), 0.113, "cpu").sentences()
    assert "on this machine" in here
    assert "40 times as fast, from 40% of its 11.3 TFLOP/s (data sheet)" in gpu
    assert len(Preflight((), 0.1, "cuda").sentences()) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["u", "M-P"], ("U", "M-P")),
        (["U, M"], ("U", "M")),
        (None, ()),
    ],
)
def test_rows_are_named_one_by_one_or_with_commas(given, expected):
    chosen = choose(table_of("qiu2024", "3"), scale="small", seed=0, epochs=None, rows=given, folds=None, masks=None)
    assert chosen.rows == expected


def test_a_name_with_commas_in_it_is_one_row():
    table = table_of("lsnet", "2")
    chosen = choose(table, scale="paper", seed=0, epochs=None, rows=["S-Net, Loss"], folds=["0,2"], masks=None)
    assert (chosen.rows, chosen.folds) == (("S-Net, Loss",), (0, 2))


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        ({"scale": "large"}, "--scale large: known are paper and small"),
        ({"rows": ["X"]}, "--rows X: no such row; known are U; M;"),
        ({"folds": ["one"]}, "--folds one: give whole numbers from 0"),
        ({"masks": ["U"]}, "--masks U: write it as ROW=FOLDER"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_sentence(options, reported):
    given = {"scale": "small", "seed": 0, "epochs": None, "rows": None, "folds": None, "masks": None, **options}
    with pytest.raises(DataError, match=reported) as caught:
        choose(table_of("qiu2024", "3"), **given)
    assert len(str(caught.value)) <= 200


@pytest.mark.parametrize("text", ["{", "[]", '{"folds": 3}'])
def test_a_split_that_was_damaged_since_the_folder_was_begun_is_refused(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(DataError, match=r"split\.json: not a split file"):
        folds_of(tmp_path / "split.json", CountedCases("set", (), ()), ())
