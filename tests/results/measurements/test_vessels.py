import numpy as np
import pytest
from solids import all_ways_round, box, grid, tube, turned

from pancascade.errors import ScanError
from pancascade.imaging.volume import Volume
from pancascade.results.measurements import length_mm, vessel_contact
from pancascade.results.measurements.vessel_lines import vessel_lines

GRIDS = {
    "isotropic": ((1.0, 1.0, 1.0), None),
    "anisotropic": ((0.7, 0.7, 2.5), None),
    "oblique": ((0.7, 0.7, 2.0), turned(about_x=20, about_y=15)),
    "reversed": ((0.8, 0.8, 1.5), turned(about_x=180, about_z=35)),
}


def around(direction, spacing, rotation):
    """A grid, and cylinder coordinates about a direction: along, radius, angle in degrees."""
    affine, points = grid(spacing, rotation, half_mm=34)
    along = np.array(direction, float) / np.linalg.norm(direction)
    first = np.cross(along, np.eye(3)[np.argmin(np.abs(along))])
    first /= np.linalg.norm(first)
    x, y = points @ first, points @ np.cross(along, first)
    return affine, points @ along, np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 360


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("direction", [(0, 0, 1), (1, 0, 0), (1, 1, 1)], ids=["along", "across", "diagonal"])
@pytest.mark.parametrize("degrees", [90, 180, 270, 360])
def test_a_sleeve_touches_over_its_angle_and_its_length(name, direction, degrees):
    affine, along, radius, angle = around(direction, *GRIDS[name])
    vessel = (radius <= 7) & (np.abs(along) <= 30)
    sleeve = (radius > 7) & (radius <= 14) & (np.abs(along) <= 10) & (angle <= degrees)
    found = vessel_contact(Volume(sleeve, affine), Volume(vessel, affine), "vein")
    assert (found.vessel, found.distance_mm) == ("vein", 0)
    assert found.contact_degrees == pytest.approx(degrees, abs=15)
    assert found.contact_length_mm == pytest.approx(20, abs=4)


def test_a_slab_touches_on_one_side_only():
    affine, points = grid((0.8, 0.8, 0.8), half_mm=30)
    vessel = tube(affine, points, np.linspace((0, 0, -25), (0, 0, 25), 200), 6)
    slab = box(affine, points, centre_mm=(12, 0, 0), sides_mm=(12, 40, 24))
    found = vessel_contact(slab.with_voxels(slab.voxels & ~vessel.voxels), vessel, "artery")
    # A plane at a tangent comes within a voxel of the circle over acos(6 / 6.8) to either side.
    assert found.contact_degrees == pytest.approx(2 * np.degrees(np.arccos(6 / 6.8)), abs=15)
    assert found.contact_length_mm == pytest.approx(24, abs=3)


@pytest.mark.parametrize("gap_mm", [5.0, 12.3])
@pytest.mark.parametrize("name", GRIDS)
def test_a_vessel_away_has_a_distance_and_no_contact(name, gap_mm):
    spacing, rotation = GRIDS[name]
    affine, points = grid(spacing, rotation, half_mm=32)
    vessel = tube(affine, points, np.linspace((-20, 0, -25), (-20, 0, 25), 200), 5)
    lesion = tube(affine, points, np.array([[-15 + gap_mm + 6, 0.0, 0.0]]), 6)
    found = vessel_contact(lesion, vessel, "aorta")
    assert found.distance_mm == pytest.approx(gap_mm, abs=np.max(spacing))
    assert (found.contact_degrees, found.contact_length_mm) == (0, 0)


def test_voxels_side_by_side_touch_and_a_gap_is_its_own_width():
    voxels = np.zeros((9, 3, 3), bool)
    lesion, beside, apart = voxels.copy(), voxels.copy(), voxels.copy()
    lesion[0, 1, 1], beside[1, 2, 2], apart[4, 1, 1] = True, True, True
    affine = np.diag([0.5, 2.0, 3.0, 1])
    assert vessel_contact(Volume(lesion, affine), Volume(beside, affine), "v").distance_mm == 0
    assert vessel_contact(Volume(lesion, affine), Volume(apart, affine), "v").distance_mm == pytest.approx(1.5)


def test_a_lesion_that_grows_into_a_vessel_touches_it():
    affine, points = grid((1, 1, 1), half_mm=30)
    vessel = tube(affine, points, np.linspace((0, 0, -25), (0, 0, 25), 200), 8)
    lesion = box(affine, points, centre_mm=(12, 0, 0), sides_mm=(12, 12, 20))
    found = vessel_contact(lesion, vessel, "vein")
    assert (lesion.voxels & vessel.voxels).any()
    assert found.distance_mm == 0 and 30 < found.contact_degrees < 130


def test_no_order_of_the_axes_changes_the_contact():
    affine, along, radius, angle = around((1, 0, 1), (1.5, 1.5, 2.0), None)
    vessel = Volume((radius <= 7) & (np.abs(along) <= 30), affine)
    sleeve = Volume((radius > 7) & (radius <= 13) & (np.abs(along) <= 10) & (angle <= 180), affine)
    expected = vessel_contact(sleeve, vessel, "v")
    both = zip(all_ways_round(sleeve), all_ways_round(vessel), strict=True)
    for turned_sleeve, turned_vessel in list(both)[::5]:
        found = vessel_contact(turned_sleeve, turned_vessel, "v")
        assert found.distance_mm == expected.distance_mm
        assert found.contact_degrees == pytest.approx(expected.contact_degrees, abs=5)
        assert found.contact_length_mm == pytest.approx(expected.contact_length_mm, abs=1)


def test_lines_follow_a_fork_without_doubling_its_trunk():
    affine, points = grid((1, 1, 1), half_mm=35)
    trunk = tube(affine, points, np.linspace((0, 0, -30), (0, 0, 30), 200), 6)
    branch = tube(affine, points, np.linspace((0, 0, 0), (30, 0, 10), 200), 3)
    lines = vessel_lines(trunk.with_voxels(trunk.voxels | branch.voxels))
    assert [round(length_mm(line) / 5) * 5 for line in lines] == [70, 25]
    inner = lines[0][10:-10]
    assert np.hypot(inner[:, 0], inner[:, 1]).max() < 3


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (1, 6, 6), (6, 1, 1)])
def test_vessels_of_a_few_voxels_do_not_crash(shape):
    vessel, lesion = np.zeros((12, 12, 12), bool), np.zeros((12, 12, 12), bool)
    vessel[tuple(slice(3, 3 + size) for size in shape)] = True
    lesion[2, 2, 2] = True
    found = vessel_contact(Volume(lesion, np.eye(4)), Volume(vessel, np.eye(4)), "v")
    assert found.distance_mm == 0 and 0 <= found.contact_degrees <= 360


def test_empty_masks_are_refused_by_name():
    some, none = Volume(np.ones((2, 2, 2), bool), np.eye(4)), Volume(np.zeros((2, 2, 2), bool), np.eye(4))
    with pytest.raises(ScanError, match="mask of portal vein holds no voxel"):
        vessel_contact(some, none, "portal vein")
    with pytest.raises(ScanError, match="mask of lesion holds no voxel"):
        vessel_contact(none, some, "portal vein")
