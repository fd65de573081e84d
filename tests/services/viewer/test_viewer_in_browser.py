"""The page in a real browser: lesions, threshold, a correction voxel for voxel, a narrow screen."""

import gzip
import shutil
from datetime import UTC, datetime

import nibabel as nib
import numpy as np
import pytest
from test_viewer_serving import served

from pancascade.results.corrections import save_correction
from pancascade.services.viewer import Pictures, viewer_document, write_single_page
from pancascade.services.viewer.serving import Shown

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="chromium is not installed"), pytest.mark.slow]
WITHOUT_GPU = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
QUIET = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
PATIENCE_MS = 240_000


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        started = engine.chromium.launch(executable_path=BROWSER, args=[*WITHOUT_GPU, *QUIET], timeout=PATIENCE_MS)
        yield started
        started.close()


def opened(browser, address, *, width=1000):
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.set_default_timeout(PATIENCE_MS)
    reported = []
    page.on("console", lambda message: reported.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: reported.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-state=ready]")
    return page, reported


def crosshair_mm(page):
    return page.evaluate("Array.from(viewer.nv.frac2mm(viewer.nv.scene.crosshairPos, 0, true)).slice(0, 3)")


def test_lesions_threshold_and_a_correction_on_an_oblique_grid(browser, result):
    folder, scan = result
    document = viewer_document(folder, corrections=True, author="AB")

    def save(content, author):
        return save_correction(folder, content, author=author, now=datetime.now(UTC)).name

    with served(Shown(document, Pictures(folder, scan), save)) as server:
        page, reported = opened(browser, server.address)
        page.click("#lesions tbody tr:nth-child(2)")
        lesion = np.argwhere(np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj)[14:] == 2).mean(axis=0)
        in_ras = page.evaluate("Array.from(viewer.nv.frac2vox(viewer.nv.scene.crosshairPos))")
        assert in_ras == pytest.approx([scan.shape[0] - 1 - (14 + lesion[0]), *lesion[1:]], abs=1), (
            "the first axis is mirrored"
        )
        assert crosshair_mm(page) == pytest.approx(document["lesions"][1]["centre_mm"], abs=0.5)
        page.click("#targets button:has-text('tumour')")
        page.fill("#threshold", "0.69")
        voxels = int((np.asarray(nib.load(folder / "segmentation.nii.gz").dataobj) == 2).sum())
        assert f"{voxels} voxels" in page.inner_text("#above")
        page.fill("#threshold", "0.71")
        assert " 0 voxels" in page.inner_text("#above")
        # What a click of the pen does, at the place of a voxel of the background.
        drawn = (2, 3, 1)
        place_mm = nib.affines.apply_affine(scan.affine, drawn).tolist()
        page.click("#pens button:has-text('Tumour')")
        page.evaluate(
            "(mm) => { viewer.nv.drawPt(...viewer.nv.frac2vox(viewer.nv.mm2frac(mm, 0, true)), 2); "
            "viewer.nv.refreshDrawing(true); viewer.state.dirty = true; }",
            place_mm,
        )
        page.click("#save")
        page.wait_for_selector("#message:has-text('Saved')")
        page.close()
    assert reported == []
    (saved,) = (folder / "corrections").glob("*.nii.gz")
    corrected, original = (nib.load(path) for path in (saved, folder / "segmentation.nii.gz"))
    assert np.allclose(corrected.affine, original.affine, atol=1e-4)
    changed = np.argwhere(np.asarray(corrected.dataobj) != np.asarray(original.dataobj))
    assert changed.tolist() == [list(drawn)]
    assert np.asarray(corrected.dataobj)[drawn] == 2


def test_the_page_alone_works_from_a_file_on_a_narrow_screen(browser, result, tmp_path):
    folder, scan = result
    path = tmp_path / "page.html"
    write_single_page(path, viewer_document(folder), Pictures(folder, scan))
    page, reported = opened(browser, path.as_uri(), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.is_hidden("#saving")
    with page.expect_download() as waiting:
        page.click("#download")
    image = nib.Nifti1Image.from_bytes(gzip.decompress(waiting.value.path().read_bytes()))
    original = nib.load(folder / "segmentation.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), np.asarray(original.dataobj))
    assert np.allclose(image.affine, original.affine, atol=1e-4)
    page.close()
    assert reported == []
