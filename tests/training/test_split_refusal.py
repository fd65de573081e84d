import json
import logging

import pytest

from pancascade.errors import CheckpointError, DataError
from pancascade.files.digests import content_digest, patient_mark
from pancascade.methods.checkpoint import load_checkpoint, read_training, save_checkpoint
from pancascade.methods.joining import join_checkpoints
from pancascade.training import fit, read_recipe
from pancascade.training.data import read_training_data
from pancascade.training.provenance import SourcePatients, require_apart, require_unseen, training_record
from pancascade.training.recipe import find_recipe, recipes_folder

SOURCE = "{reader: slice_folder, folder: slices, split: split.json, window: {lower_hu: 0, upper_hu: 255}}"
OTHER = {"train": ["p5"], "validation": ["p4"], "test": ["p0"]}
FOLDS = {"folds": [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]}


def patients(name="set", train=(), held_out=(), split="digest"):
    return SourcePatients(name, frozenset(train), frozenset(held_out), split)


def marks(*names):
    return sorted(map(patient_mark, names))


@pytest.fixture
def read(project, change_recipe):
    def with_sources(*sources):
        recipe = read_recipe(change_recipe(project, (SOURCE, "\n  - ".join(sources))))
        return read_training_data(recipe, root=project, beside=project, out=project / "run")

    return with_sources


def test_a_patient_in_train_of_one_source_and_held_out_by_another_is_refused(read, project):
    (project / "other.json").write_text(json.dumps(OTHER))
    with pytest.raises(DataError, match=r"slices: p0 would be trained on by one source .* Give both sources one split"):
        read(SOURCE, SOURCE.replace("split.json", "other.json"))


def test_a_source_that_trains_on_everybody_is_refused_beside_one_with_a_split(read):
    with pytest.raises(DataError, match="slices: p4, p5 would be trained on"):
        read(SOURCE, SOURCE.replace("split: split.json, ", ""))


def test_sources_with_one_split_pass(read):
    data = read(SOURCE, SOURCE.replace("window:", "keep: no_tumour, window:"))
    assert [source.train for source in data.patients] == [{"p0", "p1", "p2", "p3"}] * 2
    assert {source.held_out for source in data.patients} == {frozenset({"p4", "p5"})}


def test_the_same_name_in_another_data_set_is_only_said(caplog):
    with caplog.at_level(logging.WARNING):
        require_apart([patients("one", train=["0001"]), patients("two", held_out=["0001"])])
    assert "0001 is trained on in one, and held out in two" in caplog.text


def test_many_patients_are_counted_not_listed():
    everybody = [f"p{n}" for n in range(9)]
    with pytest.raises(DataError, match="p0, p1, p2 and 6 more would be"):
        require_apart([patients(train=everybody), patients(held_out=everybody)])


def test_a_recipe_picks_a_fold_of_a_split(read, project):
    (project / "folds.json").write_text(json.dumps(FOLDS))
    data = read(SOURCE.replace("split: split.json", "split: folds.json, fold: 1"))
    assert sorted(set(data.training[0].patients)) == ["p0", "p1", "p4", "p5"]
    assert data.validation == ()
    with pytest.raises(DataError, match="holds 3 folds, and none was named"):
        read_training_data(
            read_recipe(rewrite(project, "folds.json, fold: 1", "folds.json")),
            root=project,
            beside=project,
            out=project / "run",
        )


def rewrite(project, old, new):
    path = project / "tiny.yaml"
    path.write_text(path.read_text().replace(old, new))
    return path


def test_a_checkpoint_tells_whom_it_was_trained_on_without_names(whole_run):
    folder, _ = whole_run
    records = read_training(folder / "run" / "best.safetensors")["trained_on"]
    assert records == [
        {
            "data_set": "slices",
            "split": content_digest(folder / "split.json"),
            "patients": marks("p0", "p1", "p2", "p3"),
        }
    ]
    assert "p0" not in json.dumps(records)


def test_weights_that_saw_a_held_out_patient_are_no_start(finished, change_recipe):
    best = finished / "run" / "best.safetensors"
    recipe = change_recipe(finished)
    (finished / "split.json").write_text(json.dumps({"train": ["p4", "p5"], "validation": ["p0"], "test": ["p1"]}))
    with pytest.raises(DataError, match=r"slices: the weights that this run starts from were trained on p0, p1"):
        fit(recipe, finished, out=finished / "further", start_from=best)


def test_what_weights_learned_before_is_handed_on(finished, change_recipe):
    (finished / "split.json").write_text(json.dumps({"train": ["p5"], "validation": ["p4"], "test": []}))
    fit(change_recipe(finished), finished, out=finished / "further", start_from=finished / "run" / "best.safetensors")
    records = read_training(finished / "further" / "best.safetensors")["trained_on"]
    assert [record["patients"] for record in records] == [marks("p0", "p1", "p2", "p3"), marks("p5")]
    last = read_state(finished / "further" / "last.safetensors")
    assert last["trained_on"] == records


def read_state(path):
    from pancascade.methods.checkpoint import load_tensors

    return load_tensors(path)[1]


def test_a_resumed_run_does_not_swap_its_split(finished):
    (finished / "split.json").write_text(json.dumps({"train": ["p4", "p5"], "validation": ["p0"], "test": ["p1"]}))
    with pytest.raises(DataError, match="trained on p0, p1, held out by its split"):
        fit(finished / "tiny.yaml", finished, out=finished / "run", resume=True)


def test_joined_checkpoints_keep_the_records_of_their_parts(finished):
    best, other = finished / "run" / "best.safetensors", finished / "other.safetensors"
    cascade, description = load_checkpoint(best)
    training = description.training | {"epoch": 99}
    save_checkpoint(other, cascade, description=description.model_copy(update={"training": training}))
    join_checkpoints({"first": best, "second": other}, finished / "joined.safetensors")
    assert read_training(finished / "joined.safetensors")["trained_on"] == read_training(best)["trained_on"]


def test_weights_that_tell_nothing_pass():
    require_unseen([], [patients(held_out=["a"])])


def test_marks_count_only_within_their_data_set():
    earlier = training_record([patients("one", train=["a"])])
    require_unseen(earlier, [patients("two", held_out=["a"])])
    with pytest.raises(DataError, match="trained on a, held out"):
        require_unseen(earlier, [patients("one", held_out=["a"])])


def test_records_of_one_split_are_joined():
    earlier = training_record([patients(train=["a"]), patients(train=["b"])])
    assert [record["patients"] for record in earlier] == [marks("a", "b")]
    again = training_record([patients(train=["c"]), patients(train=["c"], split=None)], earlier)
    assert [(record["split"], record["patients"]) for record in again] == [
        ("digest", marks("a", "b", "c")),
        (None, marks("c")),
    ]


def test_what_is_no_checkpoint_tells_nothing(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="not a readable pancascade checkpoint"):
        read_training(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", sorted(path.stem for path in recipes_folder().glob("*.yaml")))
def test_shipped_recipes_use_one_split_for_each_data_set(name):
    splits: dict[str, set[tuple[str | None, int | None]]] = {}
    for source in read_recipe(find_recipe(name)).data:
        splits.setdefault(source.folder, set()).add((source.split, source.fold))
    assert all(len(found) == 1 for found in splits.values())
