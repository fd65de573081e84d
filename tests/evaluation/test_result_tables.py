import re

import numpy as np
import pytest
from mask_cases import FAST, evaluation, record, simple

from pancascade.evaluation import AGGREGATIONS, EmptyRule, Protocol, case_values, compare, metrics_of, summarise
from pancascade.evaluation.tables import (
    p_value,
    paper_tables,
    significance_table,
    summary_table,
    users_of,
    write_paper_tables,
)
from pancascade.evaluation.text_table import TextTable

CASES = {
    "good": [simple("x", 45, hd95_mm=1.5), simple("y", 40, hd95_mm=2.5), simple("z", 48, hd95_mm=0.5)],
    "poor": [simple("x", 35, hd95_mm=9.0), simple("y", 5, hd95_mm=8.0), simple("z", 50, hd95_mm=7.0)],
}


def evaluations(protocol=FAST):
    return [evaluation(name, cases, protocol) for name, cases in CASES.items()]


def summaries(found):
    return [summarise(each.cases, each.protocol) for each in found]


def cells(line: str) -> list[str]:
    """Cells of a line of a Markdown table; an escaped bar is none of its borders."""
    assert line.startswith("| ")
    assert line.endswith(" |")
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def require_markdown(text: str, columns: int) -> list[list[str]]:
    caption, blank, *lines = text.splitlines()
    assert re.fullmatch(r"\*\*.*\*\*", caption)
    assert blank == ""
    rows = [cells(line) for line in lines]
    assert {len(row) for row in rows} == {columns}
    assert rows[1] == ["---"] + ["---:"] * (columns - 1)
    return [rows[0], *rows[2:]]


def require_latex(text: str, columns: int) -> list[list[str]]:
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert re.findall(r"\\(\w+rule)", text) == ["toprule", "midrule", "bottomrule"]
    assert rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}" in text
    rows = [re.split(r"(?<!\\)&", line[: -len(r" \\")]) for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(row) for row in rows} == {columns}
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    return [[cell.strip() for cell in row] for row in rows]


def test_markdown_by_hand():
    table = TextTable("what", ("Method", "Dice"), (("a", "0.5"), ("b", "0.7")), frozenset({(1, 1)}))
    assert table.markdown() == "**what**\n\n| Method | Dice |\n| --- | ---: |\n| a | 0.5 |\n| b | **0.7** |\n"


def test_names_with_signs_that_mean_something_stay_names():
    name = "my_net & 50 % #1 {$x^2~} | a\\b"
    table = TextTable(name, ("Method", "±"), ((name, "–"), ("plain", "1 ± 2")), frozenset({(0, 0)}))
    assert len(require_markdown(table.markdown(), 2)) == 3
    header, row, plain = require_latex(table.latex(), 2)
    escaped = r"my\_net \& 50 \% \#1 \{\$x\textasciicircum{}2\textasciitilde{}\} | a\textbackslash{}b"
    assert row == [rf"\textbf{{{escaped}}}", "--"]
    assert header[1] == r"$\pm$"
    assert plain == ["plain", r"1 $\pm$ 2"]
    assert re.search(r"\\caption\{my\\_net", table.latex())


PAPERS = {
    "Qiu et al. 2024": ["Method", "Dice", "SEN", "SPE"],
    "L-SNet": ["Method", "DSC (%)", "P (%)", "R (%)"],
    "DSMS U-Net": ["Method", "Dice", "PPV", "Sensitivity"],
    "Zhao et al. 2019": ["Method", "Mean DSC", "Max DSC", "Min DSC"],
}


def test_each_paper_has_its_own_table_with_its_columns():
    tables = paper_tables(evaluations(), target="pancreas")
    assert len(tables) == len(PAPERS)
    for table, (paper, header) in zip(tables, PAPERS.items(), strict=True):
        assert f"As {paper}" in table.caption
        assert "pancreas" in table.caption
        assert require_markdown(table.markdown(), 4)[0] == header
        require_latex(table.latex(), 4)
        assert [row[0] for row in table.rows] == ["good", "poor"]


def test_papers_print_their_digits_and_the_best_in_bold():
    qiu, lsnet, dsms, zhao = paper_tables(evaluations(), target="pancreas")
    dice = {"good": [90 / 95, 80 / 90, 96 / 98], "poor": [70 / 85, 10 / 55, 1.0]}
    means = {name: sum(values) / 3 for name, values in dice.items()}
    for row in range(2):
        name = ("good", "poor")[row]
        assert qiu.rows[row][1] == dsms.rows[row][1] == f"{means[name]:.4f}"
        assert lsnet.rows[row][1] == f"{100 * means[name]:.2f}"
        assert re.fullmatch(rf"{100 * means[name]:.2f} ± \d+\.\d\d", zhao.rows[row][1])
        assert zhao.rows[row][2:] == (f"{100 * max(dice[name]):.2f}", f"{100 * min(dice[name]):.2f}")
    assert zhao.best == {(0, 1), (1, 2), (0, 3)}
    assert zhao.rows[0][1].endswith(f"± {100 * np.std(dice['good'], ddof=1):.2f}")
    assert {place for place in qiu.best if place[1] == 3} == {(0, 3), (1, 3)}, "equal values are both best"
    assert f"**{qiu.rows[0][1]}**" in qiu.markdown()


def test_a_papers_table_keeps_to_the_papers_rules_for_empty_masks():
    """A slice without prediction: precision 0 for Qiu and L-SNet, left out by DSMS U-Net."""
    slices = [(5, 5, 0, 90), (0, 0, 5, 95)]
    skipping = Protocol(empty=EmptyRule(prediction="skip"), resamples=100)
    _, lsnet, dsms, _ = paper_tables([evaluation("m", [record("x", slices)], skipping)], target="pancreas")
    assert lsnet.rows[0][2] == "25.00"
    assert dsms.rows[0][2] == "0.5000"


def test_what_has_no_value_is_a_dash_and_never_the_best():
    nothing = [evaluation("m", [record("x", [(0, 0, 0, 100)])], Protocol(resamples=100))]
    for table in paper_tables(nothing, target="pancreas")[:3]:
        assert table.rows[0][1] == "–"
        assert (0, 1) not in table.best
    assert paper_tables(nothing, target="pancreas")[3].rows[0][1] == "100.00"


def test_a_summary_has_intervals_in_the_digits_of_its_unit():
    found = evaluations()
    keys = ("dice", "hd95_mm", "volume_error_ml", "volume_error")
    table = summary_table(found, summaries(found), target="pancreas", aggregation="volumes", metrics=keys)
    assert table.header == ("Method", "Dice", "HD95 [mm]", "volume error [mL]", "relative volume error")
    assert re.fullmatch(r"0\.\d{4} \[0\.\d{4}, [01]\.\d{4}\]", table.rows[0][1])
    assert table.rows[0][2].startswith("1.50 [")
    assert re.fullmatch(r"-0\.\d\d \[-0\.\d\d, -?0\.\d\d\]", table.rows[0][3])
    assert table.best == {(0, 1), (0, 2)}, "less is better in mm, nothing is best among signed errors"


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_summary_leaves_out_what_its_aggregation_does_not_have(aggregation):
    found = evaluations()
    keys = ("dice", "hd95_mm")
    table = summary_table(found, summaries(found), target="pancreas", aggregation=aggregation, metrics=keys)
    assert table.header == (("Method", "Dice", "HD95 [mm]") if aggregation == "volumes" else ("Method", "Dice"))
    assert AGGREGATIONS[aggregation] in table.caption


def test_the_files_hold_every_aggregation_and_every_paper_and_the_protocol(tmp_path):
    found = evaluations()
    write_paper_tables(found, summaries(found), tmp_path)
    text, tex = (tmp_path / "tables.md").read_text("utf-8"), (tmp_path / "tables.tex").read_text("utf-8")
    assert text.startswith(FAST.sentence())
    assert tex.startswith(f"% {FAST.sentence()}")
    for words in (*AGGREGATIONS.values(), *(f"As {paper}" for paper in PAPERS)):
        assert words in text
        assert words in tex
    assert tex.count(r"\begin{table}") == text.count("| Method |") == 8
    assert not re.search(r"nan|inf\b", text)


def test_every_pair_of_methods_stands_in_the_matrix_with_its_difference_and_p():
    """Eight patients in which every difference has the same sign: p = 2 / 2⁸."""
    found = [
        evaluation(name, [simple(f"case {n}", size + n) for n in range(8)], FAST)
        for name, size in (("poor", 20), ("good", 40))
    ]
    comparison = compare(found, targets=["pancreas"])
    (entry,) = [entry for entry in comparison.metrics if entry.metric == "dice"]
    table = significance_table(entry, metrics_of(FAST)["dice"])
    assert table.header == ("Method", "good", "poor")
    gain = np.mean([case_values(good, "pancreas", FAST)["dice"] for good in found[1].cases]) - np.mean(
        [case_values(poor, "pancreas", FAST)["dice"] for poor in found[0].cases]
    )
    assert table.rows == (("good", "–", f"{gain:+.4f} (p 0.008)"), ("poor", f"{-gain:+.4f} (p 0.008)", "–"))
    assert table.best == {(0, 2), (1, 1)}
    require_latex(table.latex(), 3)


def test_matrices_are_written_for_several_methods_only(tmp_path):
    found = evaluations()
    comparison = compare(found, targets=["pancreas"])
    write_paper_tables(found, summaries(found), tmp_path, comparison=comparison)
    assert (tmp_path / "tables.md").read_text("utf-8").count("row − column") == len(comparison.metrics)
    write_paper_tables(found[:1], summaries(found[:1]), tmp_path)
    assert "row − column" not in (tmp_path / "tables.md").read_text("utf-8")


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.0316, "0.032"), (1.0, "1.000"), (float("nan"), "–")])
def test_p_values_as_papers_print_them(p, text):
    assert p_value(p) == text


def test_users_of_an_aggregation():
    assert users_of("slices_with_target") == "qiu2024, lsnet, dsms_unet"
    assert users_of("pooled") == ""
