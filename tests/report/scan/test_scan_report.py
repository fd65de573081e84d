"""The report of one scan: all numbers and codes, sound HTML, nothing loaded, nothing of the patient."""

import base64
import hashlib
import json
import re

import nibabel as nib
import numpy as np
import pytest
from result_examples import EXPLANATION, WARNING, Page, lesion, patient, result

from pancascade.errors import OutputError
from pancascade.imaging.volume import Volume
from pancascade.messages.names_only import public_name
from pancascade.report.scan.model_card import render_card
from pancascade.report.scan.scan_report import spell_number, spell_time, write_scan_report
from pancascade.results.measurements import Measurements, measure_scan
from pancascade.results.result import Location

CARD = (
    "# a-model\n\nFinds things. See <https://example.org/paper>.\n\n| what | Dice |\n|---|---|\n| pancreas | 0.763 |\n"
)


def stored_as(volume: Volume, codes: str) -> Volume:
    """The same volume with its axes in another order, by nibabel alone."""
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    wanted = nib.orientations.axcodes2ornt(codes)
    other = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))
    return Volume(np.asarray(other.dataobj), other.affine)


def report_of(tmp_path, *, masked=True, card=CARD, **changes) -> str:
    scan, mask = patient()
    if not masked:
        mask = mask.with_voxels(np.zeros_like(mask.voxels))
    found = result(mask, lesions=None if masked else (), **changes)
    write_scan_report(tmp_path / "report.html", scan=scan, mask=mask, result=found, model_card=card)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_is_sound_and_loads_nothing(tmp_path):
    text = report_of(tmp_path)
    page = Page(text)
    page.assert_sound(text)
    assert page.links == ["https://example.org/paper"]
    assert text.count("<script") == 2, "the slices, and what scrolls through them"
    assert len(page.loaded) == 5
    assert len(text) < 1_500_000


def test_no_script_but_the_pages_own_may_run(tmp_path):
    text = report_of(tmp_path)
    (policy,) = re.findall(r"script-src ([^\"]+)\"", text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"'sha256-{digest}'"


def test_slices_can_be_scrolled_through_with_contours_and_windows(tmp_path):
    text = report_of(tmp_path)
    (packed,) = re.findall(r'<script type="application/json" id="viewer-slices">(.*?)</script>', text)
    slices = json.loads(packed)
    assert [title.split()[1] for title, *_ in slices] == sorted((t.split()[1] for t, *_ in slices), key=int)
    assert all(address.startswith("data:image/jpeg;base64,") for _, address, *_ in slices)
    assert any(organ.startswith("M") and organ.endswith("Z") for _, _, organ, _ in slices)
    for name in ("abdomen, −100 to 240 HU", "soft tissue, −50 to 160 HU", "wide, −300 to 500 HU"):
        assert name in text
    assert 'id="viewer-on" checked' in text


def test_every_number_of_the_result_is_on_the_page(tmp_path):
    shown = " ".join(Page(report_of(tmp_path)).shown.split())
    for words in (
        "Research use only. Not for clinical use.",
        "2026-03-01 10:20 UTC",
        "a-model",
        "12.0 × 10.0",
        "4.80",
        "24.0",
        "tail",
        "61 / 99",
        "0.87",
        "splenic vein: contact 95° over 12 mm",
        "aorta: 7.2 mm away",
        "72 mm",
        "0.93 of 1",
        "pancreas with tumour 0.60, tumour 0.70",
        "torch float32",
        "read 0.25 s, pancreas 1.50 s; together 1.8 s",
        "60 × 50 × 20 voxels of 2.00 × 2.00 × 5.00 mm",
        "The three planes cross in the largest lesion.",
        "0.763",
    ):
        assert words in shown, words


def test_warnings_come_first_and_every_notice_has_its_code(tmp_path):
    text = report_of(tmp_path, warnings=(WARNING.sentence, "A sentence without a notice."))
    box = text[text.index('id="warnings"') : text.index('id="summary"')]
    assert f"{WARNING.sentence} <code>organ_at_edge</code>" in box
    assert "A sentence without a notice." in box
    assert EXPLANATION.sentence not in box
    assert box.count("<li>") == 2
    decisions = text[text.index('id="decisions"') : text.index('id="how"')]
    for words in ("organ_at_edge", "thick_slices", WARNING.sentence, EXPLANATION.sentence, "slices 2"):
        assert words in decisions
    assert text.index('id="warnings"') < text.index('id="images"') < text.index('id="lesions"')


def test_without_warnings_the_page_says_so_and_promises_nothing(tmp_path):
    text = report_of(
        tmp_path, notices=(), warnings=(), pancreas_and_lesions=Measurements(organ=result().pancreas_and_lesions.organ)
    )
    assert '<div class="box calm"><b>No warnings.</b> That is no proof' in text


@pytest.mark.parametrize("count, words", [(1, "1 lesion marked."), (2, "2 lesions marked.")])
def test_where_lesions_are_marked_the_page_does_not_open_with_all_is_well(tmp_path, count, words):
    organ, lesions = result().pancreas_and_lesions.organ, tuple(lesion(number) for number in range(1, count + 1))
    text = report_of(tmp_path, notices=(), warnings=(), pancreas_and_lesions=Measurements(organ=organ, lesions=lesions))
    box = text[text.index('id="warnings"') : text.index('id="summary"')]
    assert words in box
    assert "calm" not in box
    assert "No warnings" not in box


def test_where_nothing_was_found_there_is_no_contour_to_look_at(tmp_path):
    text = report_of(tmp_path, masked=False, notices=(), warnings=())
    assert "contour lies on it" not in text
    assert "calm" not in text[text.index('id="warnings"') : text.index('id="summary"')]
    assert "Nothing was found." in text
    assert "contour lies on it" in report_of(tmp_path)


@pytest.mark.parametrize("codes", ["LPS", "LPI", "RAS", "SPL", "IPL", "AIR"])
def test_a_lesion_has_one_slice_number_under_its_picture_and_in_the_table_however_it_is_stored(tmp_path, codes):
    scan, mask = (stored_as(volume, codes) for volume in patient())
    found = result(mask, pancreas_and_lesions=measure_scan(mask, scan=scan, tumour_probability=None))
    write_scan_report(tmp_path / "report.html", scan=scan, mask=mask, result=found, model_card="")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    pictured = re.search(r"<b>Lesion 1</b> <small>slice (\d+) of 20 from the feet", text)
    reported = re.search(r"<tr><th>1</th>.*<td>(\d+)</td></tr>", text)
    assert 12 <= int(pictured[1]) <= 15
    assert reported[1] == pictured[1]


def test_without_any_finding_the_page_says_so_in_words(tmp_path):
    text = report_of(tmp_path, masked=False, tumour_score=None, location=None)
    Page(text).assert_sound(text)
    for words in (
        "Nothing was found",
        "No lesion was marked, and no pancreas",
        "No pancreas was marked",
        "was not computed",
    ):
        assert words in text
    assert len(Page(text).loaded) == 4


def test_unknown_numbers_are_dashes(tmp_path):
    bare = lesion(part=None, mean_hu=None, parenchyma_hu=None, confidence=None, vessels=())
    text = report_of(tmp_path, pancreas_and_lesions=Measurements(lesions=(bare,)))
    assert "– / –" in text
    assert "None" not in Page(text).shown
    assert "vessels" not in Page(text).shown


@pytest.mark.parametrize("level, words", [("wider", "below probability ½"), ("whole_scan", "low resolution")])
def test_how_far_the_search_went_is_told(tmp_path, level, words):
    assert words in report_of(tmp_path, location=Location(confidence=0.2, level=level))


def test_where_nothing_is_marked_the_page_points_at_no_contour(tmp_path):
    text = report_of(tmp_path, masked=False, location=Location(confidence=0.07, level="wider", plausibility=0.07))
    assert "no pancreas was marked; the best candidate has a confidence of 0.07 of 1." in text
    assert "green contour" not in text


def test_names_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    notice = WARNING.model_copy(update={"sentence": evil, "values": {evil: evil}})
    text = report_of(
        tmp_path,
        scan=f"{evil}.nii.gz",
        model=evil,
        engine=evil,
        notices=(notice,),
        warnings=(evil,),
        identifiers={evil: evil},
        times_s={evil: 1.0},
        versions={evil: evil},
        created=evil,
        card=f"# {evil}\n\n{evil} [x](javascript:alert(1)) ![y](https://example.org/y.png) <b onclick=alert(1)>z</b>",
    )
    page = Page(text)
    page.assert_sound(text)
    assert text.count("<script") == 2, "the page's own two"
    assert not re.search(r"<b onclick|<img[^>]+https", text)
    assert page.links == ["https://example.org/y.png"], "a picture of the card is a link, a script is none"
    assert page.shown.count(evil) >= 8


def test_the_patient_is_named_only_where_the_result_names_one(tmp_path):
    text = report_of(tmp_path, scan="/clinic/Doe^Jane/scan.nii.gz")
    assert "Doe" not in text
    assert "names a patient" not in text
    kept = report_of(tmp_path, identifiers={"patient_name": "Doe^Jane"})
    assert "Doe^Jane" in kept
    assert "names a patient" in kept


def test_a_name_that_is_no_utf_8_does_not_cost_the_report(tmp_path):
    assert "caf?.nii.gz" in report_of(tmp_path, scan="caf\udce9.nii.gz")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    scan, mask = patient()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_scan_report(tmp_path / "file" / "report.html", scan=scan, mask=mask, result=result(), model_card="")


def test_a_card_keeps_tables_and_web_links_and_its_headings_are_lowered():
    card = render_card("# A\n\n### B\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[w](https://example.org) [l](docs/x.md)")
    assert "<h3>A</h3>" in card
    assert "<h5>B</h5>" in card
    assert "<td>1</td>" in card
    assert re.findall('href="(.*?)"', card) == ["https://example.org"]


@pytest.mark.parametrize(
    "value, digits, text", [(None, 1, "–"), (-3.25, 1, "−3.2"), (-0.01, 1, "0.0"), (0, 0, "0"), (12, 2, "12.00")]
)
def test_numbers_are_spelt(value, digits, text):
    assert spell_number(value, digits) == text


def test_times_are_in_utc_and_nonsense_stays():
    assert spell_time("2026-03-01T10:20:30+02:00") == "2026-03-01 08:20 UTC"
    assert spell_time("2026-03-01T10:20:30") == "2026-03-01 10:20 UTC"
    assert spell_time("yesterday") == "yesterday"


@pytest.mark.parametrize("path", ["a/b/c.nii.gz", "/a/b/c.nii.gz", r"C:\a\b\c.nii.gz", "c.nii.gz", "a/c.nii.gz/"])
def test_only_the_last_part_of_a_path_is_named(path):
    assert public_name(path) == "c.nii.gz"
