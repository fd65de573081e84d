"""Where a scan lies, without the names of folders."""

from pathlib import Path

import pytest

from pancascade.files.scan_place import places_of_scan, scan_place

SECRET = "Doe, Jane"


@pytest.fixture
def home(tmp_path):
    for folder in ("out", f"{SECRET}/CT 1", "other/CT 1"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in (SECRET, "other", "out"):
        (tmp_path / folder / "scan.nii.gz").touch()
    return tmp_path


@pytest.mark.parametrize("scan", [f"{SECRET}/scan.nii.gz", f"{SECRET}/CT 1", "out/scan.nii.gz", SECRET, "out", "."])
@pytest.mark.parametrize("seen_from", ["out", ".", SECRET])
def test_it_is_found_again_and_no_folder_is_named(home, scan, seen_from):
    place = scan_place(home / scan, seen_from=home / seen_from)
    assert "Doe" not in place
    assert "CT 1" not in place
    assert (home / scan).resolve() in [path.resolve() for path in places_of_scan(place, seen_from=home / seen_from)]


def test_result_and_scan_may_move_together(home):
    place = scan_place(home / SECRET / "scan.nii.gz", seen_from=home / "out")
    moved = home.rename(home.with_name("moved"))
    assert moved / SECRET / "scan.nii.gz" in list(places_of_scan(place, seen_from=moved / "out"))


def test_a_mark_stands_for_so_many_names_that_none_can_be_read_off_it():
    """Of a thousand names several have the same mark."""
    places = {scan_place(path, seen_from=path.parent.parent) for path in map(named, range(1000))}
    assert len(places) <= 256


def named(number):
    return Path(f"/nowhere/patient {number}/scan.nii.gz")


@pytest.mark.parametrize("place", ["../gone/scan.nii.gz", "~00/~00/scan.nii.gz", "/etc/passwd", "../../x", "", "~zz"])
def test_what_is_not_there_is_not_found(home, place):
    assert [path for path in places_of_scan(place, seen_from=home / "out") if path.name == "scan.nii.gz"] == []


def test_the_file_s_own_link_counts_not_what_it_points_to(home):
    (home / "link.nii.gz").symlink_to(home / SECRET / "scan.nii.gz")
    assert scan_place(home / "link.nii.gz", seen_from=home / "out") == "../link.nii.gz"
