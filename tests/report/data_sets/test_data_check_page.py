"""The page of a check: every case and finding, nothing loaded from elsewhere, names escaped."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "data"))
sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "checking"))

from test_case_issues import case_statistics, label_statistics

from pancascade.data.checking.check import DataCheck
from pancascade.data.checking.data_set_issues import find_issues
from pancascade.report.data_sets.check_page import MOST_THUMBNAILS, write_data_check

PIXEL = "iVBORw0KGgo="


def page_of(tmp_path: Path, *statistics) -> str:
    check = DataCheck(tuple(statistics), tuple(find_issues(statistics)))
    write_data_check(tmp_path / "check.html", check)
    return (tmp_path / "check.html").read_text(encoding="utf-8")


@pytest.fixture
def page(tmp_path) -> str:
    touching = label_statistics(border_voxels={"head": 0}, pancreas_ml=40.0)
    return page_of(tmp_path, case_statistics("sound", thumbnail=PIXEL), case_statistics("cut", label=touching))


class Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.ids.add(named.get("id") or "")
        if tag == "a":
            self.links.add(named["href"])


def test_every_case_is_a_line_with_its_picture_and_findings(page):
    assert page.count("<tr id=") == 2
    assert f"data:image/png;base64,{PIXEL}" in page
    (line,) = re.findall(r'<tr id="case-2".*?</tr>', page, re.DOTALL)
    assert 'class="warning"' in line
    assert 'data-kinds="label-touches-border"' in line


def test_findings_link_to_the_line_of_their_case(page):
    anchors = Anchors()
    anchors.feed(page)
    assert '<a href="#case-2">cut</a>' in page
    assert {link.removeprefix("#") for link in anchors.links} <= anchors.ids


def test_nothing_is_loaded_from_elsewhere(page):
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page)
    assert "http:" not in page
    assert "https:" not in page


def test_numbers_of_all_cases_are_dots(page):
    assert page.count("<svg") == 5
    assert "<title>cut: 40</title>" in page
    assert 'class="warning" cx="6.0"' in page


def test_names_cannot_become_markup(tmp_path):
    page = page_of(tmp_path, case_statistics("<script>alert(1)</script>", source="<b>"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "<b>," not in page


def test_a_sound_set_and_an_unread_case_are_shown_too(tmp_path):
    assert "No errors and no warnings." in page_of(tmp_path, case_statistics("a"))
    bare = case_statistics(
        "a", shape=None, spacing_mm=None, orientation=None, hu=None, label=None, label_orientation=None
    )
    assert "–" in page_of(tmp_path, bare)


def test_a_huge_set_shows_pictures_of_cases_with_findings_only(tmp_path):
    many = [case_statistics(f"c{n}", field="slice", thumbnail=PIXEL, label=None) for n in range(MOST_THUMBNAILS)]
    noted = case_statistics("noted", thumbnail=PIXEL, warnings=("odd",))
    assert page_of(tmp_path, *many, noted).count("base64") == 1
