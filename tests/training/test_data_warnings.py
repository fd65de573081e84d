import json

import numpy as np
import pytest
import torch
from PIL import Image

from pancascade.data.sampling import SliceSet
from pancascade.labels import Label
from pancascade.training import fit
from pancascade.training.data_warnings import data_warnings, unknown_patients

BOTH = (Label.PANCREAS, Label.TUMOUR)
EMPTY = "All masks of the training data are empty: there is nothing to learn. Check labels, and keep."
NO_TUMOUR = "No training case shows tumour, which the recipe is to learn. Check labels, split and keep."
NO_VALIDATION = "No validation case shows {}: its Dice stays unknown, and does not select the best weights."


def samples(*labels):
    """Slices of which each shows one label."""
    maps = torch.zeros((len(labels), 4, 4), dtype=torch.uint8)
    for place, label in enumerate(labels):
        maps[place, 1, 1] = label
    names = tuple(f"s{place}" for place in range(len(labels)))
    return SliceSet(torch.zeros((len(labels), 1, 4, 4), dtype=torch.uint8), maps, names, names)


@pytest.mark.parametrize(
    ("labels", "training", "validation", "reported"),
    [
        (BOTH, [samples(0, 1), samples(2)], [samples(1, 2)], []),
        (BOTH, [samples(0, 1)], [samples(1)], [NO_TUMOUR]),
        (BOTH, [samples(0, 0)], [samples(0)], [EMPTY]),
        (BOTH, [samples(1, 2)], [samples(1)], [NO_VALIDATION.format("tumour")]),
        (BOTH, [samples(1, 2)], [samples(0)], [NO_VALIDATION.format("pancreas"), NO_VALIDATION.format("tumour")]),
        (BOTH, [samples(1, 2)], [], []),
        (BOTH, [samples(1, 2)], [samples()], []),
        (BOTH, [samples(2)], [samples(2)], []),  # a tumour belongs to the pancreas
        ((Label.PANCREAS,), [samples(1)], [samples(1)], []),
        ((Label.TUMOUR,), [samples(1)], [samples(1)], [NO_TUMOUR]),
    ],
)
def test_what_no_sample_shows_is_one_sentence_each(labels, training, validation, reported):
    assert data_warnings(labels, training=training, validation=validation) == reported


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_run_tells_of_a_label_that_no_case_shows_before_it_trains(project, change_recipe, caplog):
    told_before = []
    recipe = change_recipe(project, ("second_labels: [pancreas]", "second_labels: [tumour]"))
    fit(recipe, project, out=project / "run", progress=lambda *_: told_before.append(warned(caplog)))
    assert told_before[0] == warned(caplog) == [NO_TUMOUR]


def test_a_run_tells_of_masks_that_are_all_empty(project, change_recipe, caplog):
    for path in (project / "slices" / "masks").iterdir():
        Image.fromarray(np.zeros((32, 48), np.uint8)).save(path)
    fit(change_recipe(project), project, out=project / "run")
    assert warned(caplog) == [EMPTY]


def test_a_run_names_patients_of_a_split_whom_the_data_set_does_not_have(project, change_recipe, caplog):
    split = {"train": ["p0", "p1", "zz"], "validation": ["p4", "yy"], "test": []}
    (project / "split.json").write_text(json.dumps(split))
    fit(change_recipe(project), project, out=project / "run")
    assert warned(caplog) == [
        "split.json: names yy, zz, whom the data set does not have. Check the spelling, or the data set."
    ]


def test_a_run_on_good_data_tells_nothing(project, change_recipe, caplog):
    fit(change_recipe(project), project, out=project / "run")
    assert warned(caplog) == []


def test_a_long_list_of_strangers_is_cut_short():
    reported = unknown_patients("s.json", [f"p{number}" for number in range(900)], there=frozenset({"p0"}))
    assert reported is not None
    assert reported.startswith("s.json: names p1, p10, p100 and 896 more, whom the data set does not have.")
    assert unknown_patients("s.json", ["p0"], there=frozenset({"p0", "p1"})) is None
