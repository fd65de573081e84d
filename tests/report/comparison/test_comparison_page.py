import base64
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pancascade.errors import OutputError
from pancascade.evaluation import (
    AGGREGATIONS,
    Evaluation,
    Failure,
    Method,
    Protocol,
    case_values,
    compare,
    evaluate,
    metrics_of,
    slice_record,
    summarise,
    summarise_detection,
    targets_with_voxels,
)
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Volume, reorient
from pancascade.metrics import Confusion
from pancascade.report.comparison import comparison_page as page_module
from pancascade.report.comparison import gallery, picture_choice
from pancascade.report.comparison.comparison_page import best_rows, number, p_value, tone, write_comparison
from small_pictures import pictures_made_small

SHAPE = (30, 26, 9)
AFFINE = np.array([[-1.5, 0, 0, 40.5], [0, -2.0, 0, 61.25], [0, 0, 4.0, -100], [0, 0, 0, 1]])
FAST = Protocol(resamples=100)
BOLD = '<b>bold</b> & "co" $x$'
CASES = [f"case{n}" for n in range(5)]


def label_map(n: int, *, moved: int = 0, tumour: bool = True) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[6 + moved : 18 + moved, 8:14, 2:8] = 1
    if tumour:
        labels[8 + moved : 12 + moved, 9:12, 4 : 5 + n % 3] = 2
    return labels


@pytest.fixture(scope="module", autouse=True)
def small_figures():
    """Figures of few pixels; `test_figures` draws them at their full size."""
    with pictures_made_small(drawn=True):
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Five references (one without a tumour), a good and a bad method, one whose files are in another order."""
    root = tmp_path_factory.mktemp("masks")
    for n, case in enumerate(CASES):
        write_volume(Volume(label_map(n, tumour=n != 4), AFFINE), root / "reference" / f"{case}.nii.gz")
        write_volume(Volume(label_map(n, moved=n % 2, tumour=n < 3), AFFINE), root / "good" / f"{case}.nii.gz")
        write_volume(Volume(label_map(n + 1, moved=3 + n), AFFINE), root / "bad" / f"{case}.nii.gz")
        scan = Volume(np.full(SHAPE, 40, np.int16), AFFINE)
        write_volume(scan, root / "scans" / f"{case}.nii.gz")
    return root


@pytest.fixture(scope="module")
def evaluations(folders) -> list[Evaluation]:
    methods = [Method(BOLD, folders / "bad"), Method("good", folders / "good")]
    return evaluate(methods, folders / "reference", protocol=FAST, workers=1)


def write(path: Path, evaluations, scans=None) -> str:
    targets = targets_with_voxels([case for evaluation in evaluations for case in evaluation.cases])
    write_comparison(
        path,
        evaluations,
        summaries=[summarise(e.cases, e.protocol, targets=targets) for e in evaluations],
        detections=[summarise_detection(e.cases, e.protocol) for e in evaluations],
        comparison=compare(evaluations, targets=targets) if len(evaluations) > 1 else None,
        scans=scans,
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def two(evaluations, tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("two") / "report.html", evaluations)


@pytest.fixture(scope="module")
def one(evaluations, tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("one") / "report.html", evaluations[:1])


@pytest.fixture
def unrendered(monkeypatch) -> None:
    """Figures are made but not rendered, which takes most of the time."""
    for module in (page_module, gallery):
        monkeypatch.setattr(module, "embed", lambda _: "data:image/png;base64,")


VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """What a page holds: elements as (tag, attributes, texts of all inside), in order; tags must be balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict, list[str], list[str]]] = []
        self.open: list[tuple[str, dict, list[str], list[str]]] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {[entry[0] for entry in self.open]}"

    def handle_starttag(self, tag, attributes):
        assert len(attributes) == len(dict(attributes)), f"an attribute twice in {tag}"
        element = (tag, dict(attributes), [], [entry[1].get("id") or entry[0] for entry in self.open])
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element[2].append(data)

    def texts(self, tag: str, inside: str = "html", **attributes: str) -> list[str]:
        """Text of each element of a kind inside an element of that id or tag."""
        return [
            " ".join("".join(text).split())
            for name, found, text, parents in self.elements
            if name == tag and (inside in parents or inside == "html") and attributes.items() <= found.items()
        ]

    def rows(self, table: int, inside: str) -> list[list[str]]:
        """Cells of a table inside an element of that id."""
        starts = [n for n, e in enumerate(self.elements) if e[0] == "table" and inside in e[3]]
        end = next((n for n in starts if n > starts[table]), len(self.elements))
        rows: list[list[str]] = []
        for tag, _, text, parents in self.elements[starts[table] : end]:
            if tag == "tr" and inside in parents:
                rows.append([])
            elif tag in ("td", "th") and inside in parents:
                rows[-1].append(" ".join("".join(text).split()))
        return rows


# ── the page as a file ──


def test_tags_are_balanced_and_names_of_anchors_are_unique(one, two):
    for html in (one, two):
        page = Page(html)
        names = [e[1]["id"] for e in page.elements if "id" in e[1]]
        assert len(names) == len(set(names))
        anchors = [e[1]["href"] for e in page.elements if e[0] == "a"]
        assert len(anchors) >= 5
        assert {anchor[1:] for anchor in anchors} <= set(names)


def test_nothing_is_loaded_from_anywhere(two):
    page = Page(two)
    sources = [e[1][key] for e in page.elements for key in ("src", "href") if key in e[1]]
    assert len(sources) > 10
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not re.search(r"https?://|@import|url\(|<link|fetch\(|XMLHttp", two)
    policy = next(e[1]["content"] for e in page.elements if e[1].get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_every_picture_is_whole_and_described(two):
    pictures = [e[1] for e in Page(two).elements if e[0] == "img"]
    for picture in pictures:
        data = base64.b64decode(picture["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
        assert picture["alt"]


def test_names_are_escaped_everywhere(two, one):
    for html in (one, two):
        assert "<b>bold" not in html
        assert "&lt;b&gt;bold&lt;/b&gt; &amp; " in html
        assert "/script" not in html.replace("</script>", "", 1)
    assert f"Evaluation of {BOLD}" in Page(one).texts("h1")
    assert Page(two).texts("h1") == ["Comparison of 2 methods"]


def test_hostile_names_of_cases_and_messages_stay_text(evaluations, tmp_path, unrendered):
    bad = "</script><script>alert(1)</script>"
    first = evaluations[0]
    cases = [first.cases[0].model_copy(update={"case": bad, "patient": bad, "notes": (bad,)}), *first.cases[1:]]
    html = write(tmp_path / "r.html", [Evaluation(bad, FAST, tuple(cases), (Failure(bad, bad),))])
    assert html.count("<script>") == 1
    assert Page(html).texts("h1") == [f"Evaluation of {bad}"]


def test_a_page_that_cannot_be_written_says_so(evaluations, tmp_path, unrendered):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError):
        write(tmp_path / "report.html", evaluations[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


# ── what it says ──


def test_every_method_case_target_and_number_stands_in_the_table_of_cases(two, evaluations):
    head, *rows = Page(two).rows(0, "cases")
    assert head[:4] == ["case", "method", "patient", "target"]
    assert head[4:9] == [metrics_of(FAST)[key].title for key in FAST.metrics]
    expected = []
    for evaluation in evaluations:
        for case in evaluation.cases:
            for target in ("pancreas", "tumour"):
                values = case_values(case, target, FAST)
                counts = case.targets[target].total
                sizes = [f"{size * case.voxel_ml:.2f}" for size in (counts.reference_size, counts.prediction_size)]
                numbers = [number(values[key], key) for key in FAST.metrics]
                expected.append([case.case, evaluation.method, case.patient, target, *numbers, *sizes, ""])
    assert rows == expected
    assert len(rows) == 2 * 5 * 2


def test_the_protocol_is_laid_out_part_by_part(two):
    page = Page(two)
    terms, values = page.texts("dt", "protocol"), page.texts("dd", "protocol")
    said = dict(zip(terms, values, strict=True))
    assert said["labels"].startswith("pancreas=1+2, tumour=2")
    assert said["both empty"].startswith("one ")
    assert said["headline"].startswith("mean over scans")
    assert said["intervals"].startswith("95 % bootstrap over patients, 100 resamples, seed 0")
    for part in FAST.sentence().split("; ")[:-1]:
        assert any(f"{term}{gap}{value}".startswith(part) for gap in (" ", ": ") for term, value in said.items())
    assert f"pancascade {page_module.version('pancascade')}" in page.texts("p", "top")[-1]


def test_the_aggregations_stand_side_by_side_with_the_best_in_bold(two, evaluations):
    page = Page(two)
    for place, target in enumerate(("pancreas", "tumour"), start=1):
        head, *rows = page.rows(0, f"target-{place}")
        assert [cell.startswith(words) for cell, words in zip(head[1:], AGGREGATIONS.values(), strict=False)] == [
            True
        ] * 4
        assert "qiu2024" in head[1]
        assert "zhao2019" in head[4]
        summaries = [summarise(e.cases, FAST)[target] for e in evaluations]
        for row, evaluation, summary in zip(rows, evaluations, summaries, strict=True):
            means = [summary[name]["dice"].mean for name in AGGREGATIONS]
            assert row[0] == evaluation.method
            assert [cell.split()[0] for cell in row[1:]] == [f"{m:.4f}" for m in [*means, max(means) - min(means)]]
            low, high = summary["pooled"]["dice"].low, summary["pooled"]["dice"].high
            assert row[3].endswith(f"[{low:.4f}, {high:.4f}]")


def test_bold_is_the_best_of_each_column_and_lower_is_better_for_distances(two, evaluations):
    volumes = two[two.index('class="sortable volumes"') :]
    body = volumes[volumes.index("<tbody>") : volumes.index("</tbody>")]
    rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in body.split("</tr>")[:2]]
    bold = [["<b>" in cell for cell in row] for row in rows]
    metrics = metrics_of(FAST)
    means = [{key: s.mean for key, s in summarise(e.cases, FAST)["pancreas"]["volumes"].items()} for e in evaluations]
    for column, (key, metric) in enumerate(metrics.items()):
        values = [mean[key] for mean in means]
        wanted = max(values) if metric.best == "high" else min(values)
        assert [row[column] for row in bold] == [metric.best != "zero" and value == wanted for value in values], key
        assert re.sub("<.*?>", "", rows[0][column]).startswith(number(values[0], key))
    assert bold[1][list(metrics).index("hd95_mm")]
    assert not any(row[list(metrics).index("volume_error_ml")] for row in bold)


def test_a_single_method_has_no_matrix_no_ranks_and_nothing_best(one):
    page = Page(one)
    assert not any("matrix" in (e[1].get("class") or "") for e in page.elements)
    assert "significance" not in [e[1].get("id") for e in page.elements]
    assert not page.texts("b", "target-1")
    head, *rows = page.rows(0, "target-1")
    assert head[0] == "metric"
    assert rows[0][0] == "Dice"
    assert page.texts("h2") == ["Pancreas", "Tumour", "Figures", "Detection of lesions", "Worst cases", "Every case"]


def test_the_matrix_has_every_pair_both_ways_with_all_its_numbers(two, evaluations):
    comparison = compare(evaluations, targets=["pancreas", "tumour"])
    cells = [e for e in Page(two).elements if e[0] == "td" and "title" in e[1]]
    assert len(cells) == 2 * 5 * 2
    entry = comparison.metrics[0]
    (pair,) = entry.pairs
    assert [rank.name for rank in entry.ranks] == ["good", BOLD]
    better, worse = cells[0], cells[1]  # the first row is the better method's
    mean, low, high = pair.swapped().mean_difference
    assert "".join(better[2]) == f"{mean:+.4f} p {p_value(pair.holm_p)}"
    assert "".join(worse[2]).startswith(f"−{mean:.4f}")
    assert better[1]["title"] == (
        f"{mean:+.4f} [{low:.4f}, {high:.4f}], n 5 of 5 patients, p {p_value(pair.wilcoxon_p)}, Holm "
        f"{p_value(pair.holm_p)}, d_z {-pair.cohens_dz:.2f}, rank-biserial {-pair.rank_biserial:.2f}, 5 / 0 / 0"
    )
    assert better[1]["class"] == "better"
    assert worse[1]["class"] == "worse"


def test_a_matrix_cell_is_coloured_by_what_is_better_and_by_significance(evaluations):
    metrics = metrics_of(FAST)
    comparison = compare(evaluations, targets=["pancreas"])
    by_metric = {entry.metric: entry.pairs[0] for entry in comparison.metrics}
    assert tone(by_metric["dice"], metrics["dice"]) == "worse"  # bad − good < 0
    assert tone(by_metric["hd95_mm"], metrics["hd95_mm"]) == "worse"  # bad − good > 0 mm
    assert tone(by_metric["hd95_mm"].swapped(), metrics["hd95_mm"]) == "better"
    sure = page_module.PairedComparison(**(vars(by_metric["dice"]) | {"holm_p": 0.049}))
    assert tone(sure, metrics["dice"]) == "worse sure"
    same = compare([evaluations[0], Evaluation("copy", FAST, evaluations[0].cases, ())], targets=["pancreas"])
    assert tone(same.metrics[0].pairs[0], metrics["dice"]) == "even"


def test_ranks_stand_in_order_with_intervals_and_shares(two, evaluations):
    entry = compare(evaluations, targets=["pancreas"]).metrics[0]
    head, *rows = Page(two).rows(2, "significance")  # after the matrix and the pairs
    assert head[1].startswith("rank")
    assert [row[0] for row in rows] == [rank.name for rank in entry.ranks] == ["good", BOLD]
    assert rows[0][1:5] == ["1", "1 to 1", "100.0 %", f"{entry.ranks[0].mean:.4f}"]


def test_detection_numbers_and_sizes_are_shown(two, evaluations):
    page = Page(two)
    found = summarise_detection(evaluations[1].cases, FAST)
    head, *rows = page.rows(0, "detection")
    assert head[1] == "lesion sensitivity"
    assert rows[1][0] == "good"
    assert rows[1][1].split()[0] == f"{found.numbers['sensitivity'].mean:.4f}"
    _, *sizes = page.rows(1, "detection")
    assert [cell.split()[-3:] for cell in sizes[1][1:]] == [[str(s.found), "of", str(s.lesions)] for s in found.by_size]
    assert "4 lesions in 4 of 5 scans" in page.texts("p", "detection")[0]


def test_without_lesions_there_is_no_detection(folders, tmp_path, unrendered):
    protocol = Protocol(resamples=100, labels={"pancreas": (1, 2)})
    found = evaluate([Method("m", folders / "good")], folders / "reference", protocol=protocol)
    assert "detection" not in [e[1].get("id") for e in Page(write(tmp_path / "r.html", found)).elements]


# ── what went wrong is said first ──


def test_failures_are_shown_with_their_messages_before_any_number(tmp_path, evaluations, unrendered):
    broken = Evaluation("good", FAST, evaluations[1].cases[1:], (Failure("case0", "case0.nii.gz: <damaged>."),))
    html = write(tmp_path / "r.html", [evaluations[0], broken])
    page = Page(html)
    assert page.rows(0, "failures")[1:] == [["good", "case0", "case0.nii.gz: <damaged>."]]
    assert "1 case without numbers" in page.texts("section", id="failures")[0]
    assert html.index('id="failures"') < html.index('id="protocol"') < html.index('id="target-1"')
    (lacking,) = [text for text in page.texts("li", "warnings") if "same cases" in text]
    assert "of 5, good has 4" in lacking


def test_nothing_is_said_where_nothing_went_wrong(two):
    page = Page(two)
    assert not page.texts("section", id="failures")
    assert not any("same cases" in text for text in page.texts("li", "warnings"))


def test_empty_references_misses_and_false_alarms_are_counted(two, one):
    assert Page(two).texts("li", "warnings") == [
        "Cases without tumour in the reference, whose values are set by the protocol: 1 for every method.",
        "Cases in which nothing of the tumour was found: good 1.",
        f"Cases without tumour in which something was found: {BOLD} 1.",
    ]
    assert [text.split(": ")[1] for text in Page(one).texts("li", "warnings")] == ["1.", "1."]


# ── worst cases ──


def captions(html: str) -> list[str]:
    return Page(html).texts("figcaption", "worst")


def test_the_worst_cases_are_shown_with_their_numbers(one, evaluations):
    values = {case.case: case_values(case, "pancreas", FAST) for case in evaluations[0].cases}
    worst = sorted(values, key=lambda case: values[case]["dice"])[:3]
    shown = captions(one)
    assert len(shown) == 6  # of two targets
    for caption, case in zip(shown, worst, strict=False):
        dice, hd95 = values[case]["dice"], values[case]["hd95_mm"]
        assert caption.startswith(f"{BOLD} · {case} · pancreas: Dice {dice:.4f}, HD95 {hd95:.2f} mm, reference 5.18 mL")


def test_many_methods_have_one_picture_each_and_sixteen_together(evaluations):
    dice_alone = FAST.model_copy(update={"metrics": ("dice",)})
    many = [Evaluation(f"m{n}", dice_alone, evaluations[n % 2].cases, ()) for n in range(12)]
    comparison = compare(many, targets=["pancreas", "tumour"])
    wanted = picture_choice.choose_pictures(many, comparison, ["pancreas", "tumour"])
    assert len(wanted) == picture_choice.MOST_PICTURES
    ranked = [rank.name for rank in comparison.metrics[0].ranks]
    assert [w.method for w in wanted if w.target == "pancreas"] == ranked[:8]
    four = many[:4]
    wanted = picture_choice.choose_pictures(four, compare(four, targets=["pancreas"]), ["pancreas"])
    assert [[w.method for w in wanted].count(e.method) for e in four] == [3] * 4
    five = many[:5]
    wanted = picture_choice.choose_pictures(five, compare(five, targets=["pancreas"]), ["pancreas"])
    assert [[w.method for w in wanted].count(e.method) for e in five] == [1] * 5


def test_a_case_with_nothing_to_draw_is_skipped(tmp_path, unrendered):
    empty = Volume(np.zeros(SHAPE, np.uint8), AFFINE)
    for name in ("reference", "empty"):
        write_volume(empty, tmp_path / name / "a.nii.gz")
    protocol = FAST.model_copy(update={"empty": FAST.empty.model_copy(update={"both": "zero"})})
    found = evaluate([Method("m", tmp_path / "empty")], tmp_path / "reference", protocol=protocol)
    assert captions(write(tmp_path / "r.html", found)) == []


def test_a_file_that_is_gone_costs_its_picture_only(evaluations, tmp_path, unrendered):
    first = evaluations[0]
    worst = min(first.cases, key=lambda case: case_values(case, "pancreas", FAST)["dice"])
    gone = worst.model_copy(update={"prediction": "gone.nii.gz"})
    cases = tuple(gone if case.case == worst.case else case for case in first.cases)
    page = Page(write(tmp_path / "r.html", [Evaluation("m", FAST, cases, ())]))
    notes = page.texts("div", "worst")
    assert notes
    assert all("gone.nii.gz" in note for note in notes)
    assert len([e for e in page.elements if e[0] == "img" and "worst" in e[3]]) == 6 - len(notes)


def test_a_scan_that_cannot_be_read_leaves_the_contours_on_grey(evaluations, tmp_path, folders, unrendered):
    scans = dict.fromkeys(CASES, tmp_path / "gone.nii.gz")
    shown = captions(write(tmp_path / "r.html", evaluations[:1], scans))
    assert all("without its scan" in caption for caption in shown)
    good = {case: folders / "scans" / f"{case}.nii.gz" for case in CASES}
    assert not any("without its scan" in text for text in captions(write(tmp_path / "s.html", evaluations[:1], good)))


@pytest.fixture
def views(monkeypatch) -> list[gallery.MaskSlices]:
    """What was drawn."""
    drawn: list[gallery.MaskSlices] = []
    draw = gallery.draw_strip

    def keep(view):
        drawn.append(view)
        return draw(view)

    monkeypatch.setattr(gallery, "draw_strip", keep)
    return drawn


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA"])
def test_files_in_any_order_of_axes_are_shown_the_same_lps_way(tmp_path, views, codes, unrendered):
    truth, found = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    truth[2:10, 3:6, 1:8] = 1  # AFFINE counts columns to the left, rows to the back, slices to the head
    found[2:10, 3:6, 1:5] = 1
    found[4:6, 20:22, 3] = 1
    for name, labels in (("reference", truth), ("m", found), ("scans", label_map(0).astype(np.int16) * 100)):
        write_volume(reorient(Volume(labels, AFFINE), codes), tmp_path / name / "a.nii.gz")
    evaluations = evaluate([Method("m", tmp_path / "m")], tmp_path / "reference", protocol=FAST)
    write(tmp_path / "r.html", evaluations, {"a": tmp_path / "scans" / "a.nii.gz"})
    (view,) = views
    stop, first = (10 + math.ceil(20 / 1.5), SHAPE[1]), 1
    assert np.array_equal(view.reference, truth[: stop[0], : stop[1], first:8] > 0)
    assert np.array_equal(view.prediction, found[: stop[0], : stop[1], first:8] > 0)
    assert np.array_equal(view.scan, label_map(0)[: stop[0], : stop[1], first:8].astype(np.int16) * 100)
    assert view.spacing_mm == pytest.approx((1.5, 2.0, 4.0))
    assert (view.first_slice, view.slice_count) == (1, SHAPE[2])


def test_a_resampled_prediction_is_drawn_on_the_grid_of_its_reference(tmp_path, views, unrendered):
    truth = label_map(0, tumour=False)
    coarse = AFFINE @ np.diag([2, 1, 1, 1])
    coarse[:3, 3] += AFFINE[:3, 0] / 2
    write_volume(Volume(truth, AFFINE), tmp_path / "reference" / "a.nii.gz")
    write_volume(Volume(truth[::2], coarse), tmp_path / "m" / "a.nii.gz")
    protocol = FAST.model_copy(update={"resample": True})
    html = write(
        tmp_path / "r.html", evaluate([Method("m", tmp_path / "m")], tmp_path / "reference", protocol=protocol)
    )
    assert np.array_equal(views[0].prediction, views[0].reference)
    assert views[0].reference.any()
    assert any("note" in text for text in Page(html).texts("li", "warnings"))
    assert "resampled" in Page(html).rows(0, "cases")[1][-1]


def test_a_missing_prediction_that_counts_as_empty_is_drawn_as_empty(tmp_path, views, unrendered):
    for n in range(2):
        write_volume(Volume(label_map(n, tumour=False), AFFINE), tmp_path / "reference" / f"{n}.nii.gz")
    write_volume(Volume(label_map(1, tumour=False), AFFINE), tmp_path / "m" / "1.nii.gz")
    protocol = FAST.model_copy(update={"missing": "empty"})
    write(tmp_path / "r.html", evaluate([Method("m", tmp_path / "m")], tmp_path / "reference", protocol=protocol))
    assert views[0].reference.any()
    assert not views[0].prediction.any()


# ── other kinds of evaluations ──


def test_slices_that_belong_to_no_volume_have_neither_pictures_nor_millilitres(tmp_path):
    records = [slice_record(f"s{n}", {"pancreas": [Confusion(5 + n, 1, 2, 92)] * 3}) for n in range(4)]
    other = [slice_record(f"s{n}", {"pancreas": [Confusion(4 - n, 1, 4, 91)] * 3}) for n in range(4)]
    protocol = Protocol(resamples=100, headline="slices_with_target", metrics=("dice", "specificity"))
    both = [Evaluation(name, protocol, tuple(found), ()) for name, found in (("a", records), ("b", other))]
    page = Page(write(tmp_path / "r.html", both))
    assert "worst" not in [e[1].get("id") for e in page.elements]
    assert not any("Bland" in e[1].get("alt", "") for e in page.elements)
    assert page.rows(0, "cases")[1][-3:] == ["–", "–", ""]
    assert "mean over axial slices that show the target" in page.texts("p", "figures")[0]


def test_signed_errors_are_shown_but_not_tested(evaluations, tmp_path, unrendered):
    protocol = Protocol(resamples=100, metrics=("volume_error_ml", "dice"))
    both = [Evaluation(e.method, protocol, e.cases, ()) for e in evaluations]
    page = Page(write(tmp_path / "r.html", both))
    assert not any("volume error" in text for text in page.texts("summary", "significance"))
    assert page.texts("summary", "figures") == ["Dice", "volume error [mL]"] * 2
    assert any(cell.startswith("−") for row in page.rows(0, "cases")[1:] for cell in row)


@pytest.mark.parametrize("count", [1, 2])
def test_one_case_alone_is_reported_without_a_warning(evaluations, tmp_path, count):
    few = [Evaluation(e.method, FAST, e.cases[:1], ()) for e in evaluations[:count]]
    assert "1 case of 1 patient ·" in Page(write(tmp_path / "r.html", few)).texts("p", "top")[-1]


def test_of_many_methods_the_best_and_the_worst_agree_in_twelve_panels(evaluations, tmp_path, monkeypatch, unrendered):
    many = [Evaluation(f"m{n:02}", FAST, evaluations[0].cases[: 3 + n % 3], ()) for n in range(14)]
    drawn = []
    draw = page_module.draw_agreement
    monkeypatch.setattr(page_module, "draw_agreement", lambda volumes: drawn.append(list(volumes)) or draw(volumes))
    monkeypatch.setattr(page_module, "draw_gallery", lambda *_: [])
    page = Page(write(tmp_path / "r.html", many))
    order = [rank.name for rank in compare(many, targets=["pancreas"]).metrics[0].ranks]
    assert drawn[0] == [*order[:6], *order[-6:]]
    assert any("Of 14 methods the 6 best and the 6 worst by Dice" in text for text in page.texts("figcaption"))
    details = [e[1] for e in page.elements if e[0] == "details" and "figures" in e[3]]
    assert ["open" in attributes for attributes in details] == [True, *[False] * 4] * 2


# ── numbers ──


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        (0.81234, "dice", "0.8123"),
        (12.346, "hd95_mm", "12.35"),
        (-3.456, "volume_error_ml", "−3.46"),
        (-0.00001, "volume_error", "0.0000"),
        (None, "dice", "–"),
        (math.nan, "dice", "–"),
        (math.inf, "hd_mm", "–"),
    ],
)
def test_numbers_are_printed_with_the_digits_of_their_unit(value, key, text):
    assert number(value, key) == text


def test_differences_carry_their_sign():
    assert number(0.01, "dice", signed=True) == "+0.0100"
    assert number(-0.01, "dice", signed=True) == "−0.0100"
    assert number(0.00001, "dice", signed=True) == "0.0000"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "<0.001"), (0.001, "0.001"), (0.0456, "0.046"), (1.0, "1.000"), (math.nan, "–")]
)
def test_p_values_are_printed_as_papers_do(p, text):
    assert p_value(p) == text


def test_the_best_row_leaves_out_what_has_no_value_and_shares_ties():
    metrics = metrics_of(FAST)
    assert best_rows([0.5, math.nan, 0.7, 0.7], metrics["dice"]) == {2, 3}
    assert best_rows([0.5, math.nan, 0.7], metrics["hd95_mm"]) == {0}
    assert best_rows([math.nan, math.nan], metrics["dice"]) == set()
    assert best_rows([-1.0, 2.0], metrics["volume_error_ml"]) == set()
    assert best_rows([0.5], metrics["dice"]) == set()
