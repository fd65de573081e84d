"""Names of files without their folders."""

import pytest

from pancascade.errors import PancascadeError, ScanError
from pancascade.messages.names_only import DICOM_FOLDER, names_only, public_name
from pancascade.messages.notices import Notice

SECRET = "Doe, Jane (1950)"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a patient's, in which are a file and a folder of DICOM."""
    (tmp_path / SECRET / "CT 1").mkdir(parents=True)
    (tmp_path / SECRET / "scan.nii.gz").write_bytes(b"")
    (tmp_path / SECRET / "CT 1" / "IM 1").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SENTENCES = {
    "{home}/{secret}/scan.nii.gz: is bad. Give another.": "scan.nii.gz: is bad. Give another.",
    "{secret}/scan.nii.gz: is bad, 3/4 of it.": "scan.nii.gz: is bad, 3/4 of it.",
    "The file {home}/{secret}/CT 1/IM 1 and '{home}/{secret}/gone.nii'.": "The file IM 1 and 'gone.nii'.",
    "--vessels a={home}/{secret}/v.nii.gz:3: not there": "--vessels a=v.nii.gz:3: not there",
    "/gone/{secret}/x.nii.gz: no such file. Check it.": "x.nii.gz: no such file. Check it.",
    "gone/{secret}/x.nii.gz: no such file.": "x.nii.gz: no such file.",
    "[Errno 2] No such file: '/gone/Jane Doe/x.nii'": "[Errno 2] No such file: 'x.nii'",
    "C:\\data\\Jane Doe\\x.nii: bad": "x.nii: bad",
    "See https://example.org/a/b.zip for mg/mL and images/ or SPECT/CT.": None,
    "ORIGINAL\\PRIMARY\\AXIAL is no axial CT.": None,
    "A sentence without any path.": None,
}


@pytest.mark.parametrize(("text", "names"), SENTENCES.items())
def test_of_every_path_the_last_part_stays(home, text, names):
    text = text.format(home=home, secret=SECRET)
    assert names_only(text) == (text if names is None else names)
    assert names_only(names_only(text)) == names_only(text)


def test_of_a_folder_that_is_a_scan_not_even_the_name_stays(home):
    folder = home / SECRET
    assert str(ScanError(f"{folder}: there is no series here.")) == f"{DICOM_FOLDER}: there is no series here."
    assert str(ScanError(f"{folder / 'CT 1' / 'IM 1'}: is damaged.")) == "IM 1: is damaged."
    assert str(PancascadeError(f"{home / 'out'}: is full.")) == "out: is full."
    assert public_name(folder) == DICOM_FOLDER
    assert public_name(folder / "scan.nii.gz") == "scan.nii.gz"


def test_notices_name_no_folder(home):
    notice = Notice(code="a", about="input", sentence=f"{home / SECRET}: blank. {home / SECRET / 'scan.nii.gz'} too.")
    assert notice.sentence == f"{DICOM_FOLDER}: blank. scan.nii.gz too."
