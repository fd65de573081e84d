"""Nothing but a file's own name leaves: markers in all that could name a patient, looked for in every output."""

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from abdomen_phantom import HounsfieldCascade, abdomen, described
from dicom_writing import ct_slices, save_all
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from pancascade.imaging.io import read_volume, write_volume
from pancascade.imaging.io.dicom import search as dicom_search
from pancascade.imaging.io.dicom import series as dicom_series
from pancascade.imaging.volume import reorient

MARK = "ZZDoe"
TEXTS = {"LO": f"{MARK} text", "SH": MARK, "PN": f"{MARK}^Jane", "ST": MARK, "LT": MARK, "UT": MARK, "AE": MARK}
NEEDED = {"RescaleType", "SeriesDescription", "TransferSyntaxUID"}


class Graded(HounsfieldCascade):
    """Probabilities that rise slowly, so that calibration has something to fit."""

    def above(self, images, hu):
        return super().above(images, hu) ** 0.2


@pytest.fixture(autouse=True)
def kept_away(monkeypatch, tmp_path):
    """Temporary files and caches of this test alone, which are looked at, too."""
    monkeypatch.setattr("pancascade.inference.runners.loading.has_graphs", lambda _: False)
    monkeypatch.setattr("pancascade.inference.runners.torch_runners.load_checkpoint", lambda _: (Graded(), described()))
    for name, variable in (("temporary", "TMPDIR"), ("cache", "XDG_CACHE_HOME")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def marked(image: nib.Nifti1Image, path: Path) -> Path:
    """Saved with a marker in all that a NIfTI header can say in words."""
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = MARK.encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", MARK.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


@pytest.fixture
def home(tmp_path) -> Path:
    """A patient's folder with scans, label maps, and other files that name the patient."""
    home = tmp_path / f"{MARK} Jane, 1950" / MARK
    scan, truth = abdomen()
    for name in ("a", "b"):
        marked(nib.Nifti1Image(scan.voxels, scan.affine), home / "images" / f"{name}.nii.gz")
        marked(nib.Nifti1Image(truth, scan.affine), home / "labels" / f"{name}.nii.gz")
    marked(nib.Nifti1Image(scan.voxels, scan.affine), home / "images" / "c.nii.gz").write_bytes(b"not an image")
    shutil.copy(home / "labels" / "a.nii.gz", home / "labels" / "c.nii.gz")
    (home / "notes").mkdir()
    (home / "notes" / f"{MARK}.txt").write_text(MARK)
    rows = [f"images/{name}.nii.gz,labels/{name}.nii.gz,p{name}" for name in ("a", "b")]
    (home / "list.csv").write_text("image,label,patient\n" + "\n".join(rows) + "\n")
    bad = [f"{home}/images/c.nii.gz,{home}/labels/c.nii.gz,pc", f"{home}/gone/d.nii.gz,none,pd"]
    (home / "bad.csv").write_text("image,label,patient\n" + "\n".join([*rows, *bad]) + "\n")
    return home


@pytest.fixture(scope="module")
def marked_series(tmp_path_factory) -> Path:
    """The phantom as DICOM with a marker in every tag that holds words, written once."""
    volume = reorient(abdomen()[0], "LPS")
    slices = ct_slices(
        volume.voxels.transpose(2, 1, 0).astype(np.int16),
        spacing_mm=(volume.spacing_mm[1], volume.spacing_mm[0]),
        origin_mm=volume.affine[:3, 3] * (-1, -1, 1),
        step_mm=(0, 0, volume.spacing_mm[2]),
    )
    for image in slices:
        mark_all(image)
    folder = tmp_path_factory.mktemp("series")
    save_all(slices, folder / "CT 1")
    return folder


@pytest.fixture
def series(marked_series, home) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(marked_series, home / f"{MARK} series")


def mark_all(image: Dataset) -> None:
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if vr in TEXTS and keyword and not retired and keyword not in NEEDED and tag >> 16 > 2:
            setattr(image, keyword, TEXTS[vr])


def require_silent(answer: tuple[int, str, str], *, code: int, places: list[Path]) -> None:
    """The verb ended as it should, and no marker is in what it said or wrote, unpacked where it was packed."""
    ended, out, err = answer
    assert ended == code, out + err
    reported = {"standard output": out.encode(), "standard error": err.encode()}
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                content = path.read_bytes()
                reported[path.name] = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            assert MARK not in str(path.relative_to(place.parent)), path
    assert [name for name, content in reported.items() if MARK.encode() in content] == []


@pytest.fixture
def places(tmp_path) -> list[Path]:
    """Where results, temporary files and caches lie."""
    (tmp_path / "out").mkdir()
    return [tmp_path / name for name in ("out", "temporary", "cache")]


@pytest.fixture
def out(places) -> Path:
    return places[0]


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("kind", ["nifti", "dicom", "zip"])
def test_results_and_what_is_made_of_them(pancascade, home, series, out, places, monkeypatch, kind, relative):
    scan = {"nifti": home / "images" / "a.nii.gz", "dicom": series, "zip": home / "scan.zip"}[kind]
    if kind == "zip":
        with zipfile.ZipFile(scan, "w") as archive:
            for file in sorted(series.rglob("*.dcm")):
                archive.write(file, f"{MARK}/{file.name}")
    if relative:
        monkeypatch.chdir(home.parent)
        scan = scan.relative_to(home.parent)
    answer = pancascade("segment", scan, "--out", out / "r1", "--save-probabilities")
    require_silent(answer, code=0, places=places)
    shutil.copytree(out / "r1", out / "r2")
    assert json.loads((out / "r1" / "result.json").read_text())["scan"] in ("a.nii.gz", "DICOM folder", "scan.zip")
    require_silent(pancascade("threshold", out / "r1", "--tumour", "0.6"), code=0, places=places)
    page, table = ("--out", out / "c.html"), ("--csv", out / "c.csv")
    require_silent(pancascade("cohort", out, *page, *table), code=0, places=places)
    written = ("--out", out / "f.html", "--json", out / "f.json")
    require_silent(pancascade("compare-dates", out / "r1", out / "r2", *written), code=0, places=places)


@pytest.mark.parametrize("kind", ["nifti", "dicom", "zip", "gone", "no dicom", "empty"])
def test_refusals(pancascade, home, series, out, places, kind):
    (home / "images" / "empty.nii.gz").touch()
    (home / "broken.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    next(series.rglob("IM0007.dcm")).unlink()
    scan = {
        "nifti": home / "images" / "c.nii.gz",
        "dicom": series,
        "zip": home / "broken.zip",
        "gone": home / "gone" / "scan.nii.gz",
        "no dicom": home / "notes",
        "empty": home / "images" / "empty.nii.gz",
    }[kind]
    answer = pancascade("segment", scan, "--out", out / "r")
    require_silent(answer, code=2, places=places)
    assert len(answer[2].removeprefix("Error: ").strip()) <= 250
    assert (out / "r" / "refusal.json").exists()
    require_silent(pancascade("cohort", out, "--out", out / "c.html"), code=2, places=places)


@pytest.fixture
def two_series(series) -> Path:
    """Two CT series that no rule tells apart, described by the patient's name."""
    second = generate_uid()
    for number, file in enumerate(sorted(series.rglob("*.dcm"))):
        image = dcmread(file)
        image.SeriesDescription = f"{MARK} first"
        image.save_as(file)
        image.SeriesDescription, image.SeriesInstanceUID = f"{MARK} second", second
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.save_as(file.with_name(f"second{number}.dcm"))
    return series


def test_descriptions_of_series_are_in_no_sentence(pancascade, two_series, out, places, caplog):
    for choice in ((), ("--series", f"{MARK} third"), ("--series", MARK)):
        answer = pancascade("segment", two_series, *choice, "--out", out / "r")
        require_silent(answer, code=2, places=places)
        assert len(answer[2].strip()) <= 200
    assert MARK not in caplog.text


def test_a_series_that_is_named_by_its_description_is_found_again_without_it(
    pancascade, two_series, out, places, monkeypatch
):
    searched = []
    monkeypatch.setattr(dicom_series, "search", lambda place: searched.append(place) or dicom_search.search(place))
    chosen = ("--series", f"{MARK} second", "--save-probabilities", "--out", out / "r")
    require_silent(pancascade("segment", two_series, *chosen), code=0, places=places)
    assert len(searched) == 1
    require_silent(pancascade("threshold", out / "r", "--tumour", "0.6", "--out", out / "t"), code=0, places=places)
    kept = [json.loads((out / name / "result.json").read_text())["series"] for name in "rt"]
    assert kept[0] == kept[1]
    assert kept[0].startswith("uid-")
    code, _, err = pancascade("segment", two_series, "--series", kept[0], "--out", out / "again")
    assert (code, err) == (0, "")


def test_evaluations(pancascade, home, out, places):
    (home / "labels" / "c.nii.gz").write_bytes(b"not an image")
    scans, labels = home / "images", home / "labels"
    verbs = {
        "evaluate": (labels, labels, "--workers", "1", "--scans", scans),
        "compare": (labels, labels, scans, "--workers", "1"),
        "attribute": (scans, labels),
    }
    for verb, given in verbs.items():
        code, reported, err = pancascade(verb, *given, "--out", out / verb)
        require_silent((code, reported, err), code=code, places=places)
        assert code in (0, 1, 2)
    model = ("--out", out / "model.json", "--allow-training-cases")
    code, reported, err = pancascade("calibrate", "qiu2024-small", scans, labels, *model)
    require_silent((code, reported, err), code=1, places=places)


def test_data_sets(pancascade, home, out, places):
    for table in ("list.csv", "bad.csv"):
        for verb in ("check", "describe", "prepare"):
            code, reported, err = pancascade("data", verb, home / table, "--out", out / table / verb, "--workers", "1")
            require_silent((code, reported, err), code=code, places=places)
            assert code in (0, 1, 2), reported + err
    given = ("--shares", "50", "0", "50", "--workers", "1")
    code, reported, err = pancascade("data", "split", home / "list.csv", "--out", out / "split.json", *given)
    require_silent((code, reported, err), code=code, places=places)
    assert read_volume(home / "images" / "a.nii.gz").shape == abdomen()[0].shape


def test_masks_carry_nothing_of_the_scan_s_header(home, tmp_path):
    volume = read_volume(home / "images" / "a.nii.gz")
    write_volume(volume.with_voxels(np.zeros(volume.shape, np.uint8)), tmp_path / "mask.nii")
    assert MARK.encode() not in (tmp_path / "mask.nii").read_bytes()


RECIPE = """
name: tiny
cascade: {kind: qiu2024, first: {name: unet, preset: tiny}, second: {name: focusing_net, preset: tiny},
  crop_size: [32, 32], margin: 4}
canvas: {size: [32, 32]}
batch_size: 8
data: [{reader: volume_list, folder: "HOME/list.csv", split: "HOME/split.json"}]
phases: [{name: S, epochs: 1}]
"""


def test_runs_and_the_models_that_come_of_them(pancascade, home, out, places, monkeypatch):
    (home / "split.json").write_text(json.dumps({"train": ["pa"], "validation": ["pb"], "test": []}))
    (home / "tiny.yaml").write_text(RECIPE.replace("HOME", str(home)))
    source = ("--source", home / "list.csv", "--split", home / "split.json", "--keep", "pancreas")
    require_silent(pancascade("train", home / "tiny.yaml", *source, "--out", out / "one"), code=0, places=places)
    run = ("train", home / "tiny.yaml", "--data", home, "--out", out / "two")
    require_silent(pancascade(*run), code=0, places=places)
    require_silent(pancascade(*run, "--resume"), code=0, places=places)
    require_silent(pancascade(*run), code=2, places=places)
    weights = shutil.copy(out / "two" / "best.safetensors", home / "best.safetensors")
    stages = (f"first={weights}", f"second={out}/one/best.safetensors")
    require_silent(pancascade("join", *stages, "--out", out / "joined.safetensors"), code=0, places=places)
    require_silent(pancascade("join", f"first={home}/gone", "--out", out / "j.safetensors"), code=2, places=places)
    require_silent(pancascade("models", weights), code=0, places=places)


def test_descriptions_of_models(pancascade, home, out, places):
    shutil.copy(home / "labels" / "a.nii.gz", home / "w.safetensors")  # any content: the phantom's cascade is loaded
    noise = np.random.default_rng(0)
    for name in ("a", "b"):
        scan = read_volume(home / "images" / f"{name}.nii.gz")
        noisy = (scan.voxels + noise.normal(0, 45, scan.shape)).astype(np.int16)
        marked(nib.Nifti1Image(noisy, scan.affine), home / "noisy" / f"{name}.nii.gz")
    given = (home / "w.safetensors", home / "noisy", home / "labels", "--out", out / "model.json")
    require_silent(pancascade("calibrate", *given), code=1, places=places)
    answer = pancascade("segment", home / "images" / "a.nii.gz", "--model", out / "model.json", "--out", out / "r")
    require_silent(answer, code=0, places=places)
    (home / "w.safetensors").write_bytes(b"other weights")
    answer = pancascade("segment", home / "images" / "a.nii.gz", "--model", out / "model.json", "--out", out / "s")
    require_silent(answer, code=2, places=places)
    assert "not the weights" in answer[2]
