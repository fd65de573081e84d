"""The papers' tables: every number as printed, every row made or quoted, and what arithmetic says against some."""

import re
import sys
from functools import cache
from pathlib import Path
from random import Random

import pytest
import yaml

# Damaged texts are made beside the tests of hostile inputs.
sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from text_mutations import mutated_yaml

from pancascade.errors import DataError
from pancascade.reproduction import published_files
from pancascade.reproduction.published_files import find_table, published_papers
from pancascade.reproduction.published_numbers import parse_printed
from pancascade.reproduction.published_tables import SCALES
from pancascade.reproduction.remarks import impossible_dice, most_dice, remarks_on
from pancascade.reproduction.row_recipe import row_recipe
from pancascade.training import find_recipe

read_published = cache(published_files.read_published)
"""The shipped files are read once."""

PAPERS = Path(__file__).parents[3] / "shared" / "papers"
TEXTS = {
    "qiu2024": "qiu2024_cascade.txt",
    "lsnet": "lsnet.txt",
    "dsms_unet": "dsms_unet.txt",
    "zhao2019": "zhao2019_two_stage_3d.txt",
}
TABLES = [(name, number) for name in TEXTS for number in read_published(name).tables]
MADE = [
    (name, number, row.name)
    for name, number in TABLES
    for row in read_published(name).tables[number].rows
    if row.make is not None
]


def table_of(name, number):
    return find_table(read_published(name), number)


def column_of(name, number, column):
    table = table_of(name, number)
    place = [one.name for one in table.columns].index(column)
    return {row.name: table.printed(row)[place].mean for row in table.rows}


def test_every_table_of_the_four_papers_is_there():
    assert list(published_papers()) == sorted(TEXTS)
    numbers = {name: list(read_published(name).tables) for name in TEXTS}
    assert numbers == {
        "qiu2024": ["1", "2", "3", "fig10"],
        "lsnet": ["1", "2", "3", "4"],
        "dsms_unet": ["1"],
        "zhao2019": ["1", "2", "3"],
    }
    assert [len(table_of(*place).rows) for place in TABLES] == [14, 11, 7, 3, 7, 4, 2, 4, 5, 4, 4, 7]


def test_differences_that_the_papers_texts_state_come_out_of_their_tables():
    msd, nih = column_of("qiu2024", "1", "Dice"), column_of("qiu2024", "2", "Dice")
    assert msd["Ours"] - msd["U-Net"] == pytest.approx(0.1011)
    assert msd["Ours"] - msd["IAG-Net"] == pytest.approx(0.0162)
    assert msd["Ours"] - msd["U-Net++"] == pytest.approx(0.1635)
    assert nih["Ours"] - nih["LMNS-Net"] == pytest.approx(0.0226)
    assert nih["Ours"] - nih["RTUNet"] == pytest.approx(0.0138)
    dsc = column_of("lsnet", "1", "DSC")
    assert dsc["L-SNet (FCN)"] - dsc["Coarse-to-fine FCN"] == pytest.approx(1.04)
    assert dsc["L-SNet (U-Net)"] - dsc["Coarse-to-fine U-Net"] == pytest.approx(0.79)


def test_zhaos_fold_means_give_their_last_row_but_not_the_coarse_one():
    first, second = (column_of("zhao2019", "1", f"Stage {stage} mean DSC") for stage in (1, 2))
    assert sum(second.values()) / 4 == pytest.approx(85.99, abs=0.006)
    assert sum(first.values()) / 4 == pytest.approx(81.38)
    assert "81.38" in table_of("zhao2019", "3").row("Ours (Coarse)").remark


def test_a_mean_dice_cannot_exceed_what_its_mean_sensitivity_allows():
    found = [
        (name, number, row.name)
        for name, number in TABLES
        for row in table_of(name, number).rows
        if impossible_dice(table_of(name, number), row)
    ]
    assert found == [("qiu2024", "2", "U-Net"), ("qiu2024", "2", "Fixed-point")]
    remarks = remarks_on(table_of("qiu2024", "2"), table_of("qiu2024", "2").row("U-Net"))
    assert "at most 2S / (1 + S) = 0.6782, but 0.7470 is printed" in remarks[-1]


def test_the_bound_of_dice_is_reached_without_false_positives():
    assert most_dice(0.5) == pytest.approx(2 * 1 / (2 * 1 + 0 + 1))  # TP 1, FP 0, FN 1
    assert most_dice(1) == 1


@pytest.mark.parametrize(("name", "number", "row"), MADE)
def test_each_row_that_is_made_names_a_recipe_of_ours(name, number, row):
    table = table_of(name, number)
    for scale in SCALES:
        settings, make = table.scales[scale], table.row(row).make
        recipe = make.at(scale).recipe or make.recipe or settings.recipe
        assert find_recipe(recipe).is_file()
        assert row_recipe(table, table.row(row), scale=scale, regions=False, seed=3)["seed"] == 3


@pytest.mark.parametrize(
    ("value", "expected"), [("0.4913", (0.4913, None)), ("82.18 5.28", (82.18, 5.28)), ("100", (100.0, None))]
)
def test_printed_values_are_read(value, expected):
    assert parse_printed(value) == expected


@pytest.mark.parametrize("value", ["0.49 0.5 0.6", "about 3", "", "1e5", "nan"])
def test_what_is_no_printed_number_is_refused(value):
    with pytest.raises(ValueError, match="no number as tables print it"):
        parse_printed(value)


def changed(tmp_path, change):
    content = yaml.safe_load((published_papers()["dsms_unet"]).read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (lambda paper: paper["tables"]["1"]["rows"][0].pop("make"), "row FCN: needs either make or quoted"),
        (lambda paper: paper["tables"]["1"]["rows"][0].pop("values"), "row FCN: needs either values or reading_of"),
        (lambda paper: paper["tables"]["1"]["rows"][0]["values"].pop(), "needs one value a column, 3"),
        (lambda paper: paper["tables"]["1"].update(protocol="mine"), "protocol mine is unknown"),
        (lambda paper: paper["tables"]["1"]["data"].update(design="mine"), "design mine is unknown"),
        (lambda paper: paper["tables"]["1"].update(comparisons=[["FCN", "mine"]]), "mine is not"),
        (lambda paper: paper["tables"]["1"].update(colour="red"), "no such key"),
    ],
)
def test_a_file_of_tables_that_does_not_fit_together_is_refused_in_one_sentence(tmp_path, change, reported):
    with pytest.raises(DataError, match=re.escape(reported)) as caught:
        published_files.read_published(str(changed(tmp_path, change)))
    assert len(str(caught.value)) <= 200


def test_a_damaged_file_of_tables_is_read_or_refused_in_one_sentence(tmp_path):
    good, path = published_papers()["dsms_unet"].read_bytes(), tmp_path / "mine.yaml"
    read = 0
    for number in range(80):
        what, content = mutated_yaml(good, Random(number))
        path.write_bytes(content)
        try:
            paper = published_files.read_published(str(path))
        except DataError as error:
            assert len(str(error)) <= 200, what
            continue
        read += 1
        for table in paper.tables.values():
            for row in table.rows:
                assert len(table.printed(row)) == len(table.columns), what
    assert 0 < read < 80


def test_an_unknown_paper_or_table_is_refused_with_the_known_ones():
    with pytest.raises(DataError, match="no such paper; known are dsms_unet, lsnet, qiu2024, zhao2019"):
        published_files.read_published("qiu")
    with pytest.raises(DataError, match="has no table 5; known are 1, 2, 3, fig10"):
        table_of("qiu2024", "5")


def numbers_of(text):
    return re.findall(r"\d+\.\d+|\d+", text)


def stands_in(wanted, everything):
    return any(everything[at : at + len(wanted)] == wanted for at in range(len(everything)))


@pytest.mark.shared
@pytest.mark.skipif(not PAPERS.is_dir(), reason="the papers' texts are not here")
@pytest.mark.parametrize(("name", "number"), TABLES)
def test_every_number_stands_in_the_paper_in_the_order_of_the_table(name, number):
    table = table_of(name, number)
    text = (PAPERS / TEXTS[name]).read_text(encoding="utf-8")
    everything = numbers_of(text)
    lines = [[value for value in row.values or () if value != "-"] for row in table.rows]
    if table.transposed:
        lines = [list(column) for column in zip(*lines, strict=True)]
    for line in lines:
        half = (
            len(line) // 2 if len(line) > 6 else len(line)
        )  # Zhao's Table 2 prints recall and IoU one below the other
        for part in filter(None, (line[:half], line[half:])):
            assert stands_in(numbers_of(" ".join(part)), everything), part
    reported = {*table.data.cases.values(), *table.data.slices.values()}
    assert {str(count) for count in reported} <= set(everything)


@pytest.mark.shared
@pytest.mark.skipif(not PAPERS.is_dir(), reason="the papers' texts are not here")
@pytest.mark.parametrize("place", [("qiu2024", "1"), ("qiu2024", "2"), ("lsnet", "1"), ("zhao2019", "3")])
def test_a_rows_numbers_follow_its_name_in_the_paper(place):
    table = table_of(*place)
    text = (PAPERS / TEXTS[place[0]]).read_text(encoding="utf-8")
    for row in table.rows:
        first = (row.values or ("",))[0].split()[0]
        near = [line for line in text.splitlines() if row.name in line and first in numbers_of(line)]
        assert near, row.name
