"""The page in a real browser: a scan goes in, its progress is seen, the result is there."""

from pathlib import Path

import pytest
import stub_work
from running import running

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "a-token-of-the-tests"
PATIENCE_MS = 240_000

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"there is no {CHROMIUM}")


@pytest.fixture
def page():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(PATIENCE_MS)
        page.complaints = []
        page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: dialog.dismiss())
        yield page
        browser.close()


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def choose(page, what: str, name: str = "MILLER_JANE.nii") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": stub_work.upload(what)})


def test_from_the_upload_to_the_result_in_a_narrow_window(page, tmp_path):
    with running(tmp_path, token=TOKEN) as server:
        page.goto(server.address)
        page.wait_for_selector("#token", state="visible")
        assert fits(page)
        page.fill("#token", TOKEN)
        page.click("button")
        page.wait_for_selector("#none:not([hidden])")
        assert page.url == server.address  # the token is not in the address

        choose(page, "hold")
        running_card = page.locator("[data-state=running]")
        running_card.get_by_text("holding").wait_for()
        assert (running_card.locator("progress").get_attribute("value"), fits(page)) == ("2", True)
        stub_work.open_gate(server.folder)
        done = page.locator("[data-state=done]")
        done.get_by_text("70.3 mL").wait_for()
        assert fits(page)
        (job,) = server.client.get("/jobs", headers={"Authorization": f"Bearer {TOKEN}"}).json()["jobs"]
        places = done.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        assert places == [job["links"][name] for name in ("view", "report", "mask", "all")]
        assert "MILLER" not in page.content()

        page.set_viewport_size({"width": 1400, "height": 900})
        assert fits(page)
        choose(page, "refuse")
        page.locator("[data-state=refused]").get_by_text("this is no CT").wait_for()
        choose(page, "hold")
        page.locator("[data-state=running]").get_by_text("Cancel").click()
        playwright.expect(page.locator(".job")).to_have_count(2, timeout=PATIENCE_MS)
        # Chromium complains of the 401 that asks for the token, sooner or later.
        assert all("401" in said for said in page.complaints)

        page.set_input_files("#file", {"name": "x.nii", "mimeType": "", "buffer": b"no scan at all"})
        page.locator("#fault").get_by_text("This is no scan of a supported kind").wait_for()
        page.set_input_files("#file", {"name": "x.nii", "mimeType": "", "buffer": bytes(1_500_000)})
        page.locator("#fault").get_by_text("the server accepts at most 1 MB").wait_for()
        done.get_by_role("link", name="Report").click()
        page.get_by_role("heading", name="A report").wait_for()
        assert all("401" in said or "415" in said for said in page.complaints)  # and nothing else
