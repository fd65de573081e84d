import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy.ndimage import map_coordinates
from skimage.draw import polygon2mask
from skimage.measure import label

from pancascade.imaging.io.dicom.contours import outlines


def inside(polygon, shape):
    """Even-odd rule, written down as the definition says: how many sides lie left of a pixel's centre."""
    row, column = np.mgrid[: shape[0], : shape[1]].astype(float)
    crossings = np.zeros(shape, int)
    for (x, y), (next_x, next_y) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y != next_y:
            meets = (y > row) != (next_y > row)
            crossings += meets & (column < (next_x - x) * (row - y) / (next_y - y) + x)
    return crossings % 2 == 1


def by_matplotlib(polygon, shape):
    row, column = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([column.ravel(), row.ravel()], axis=1)
    closed = np.concatenate([polygon, polygon[:1]])
    return Outline(closed, closed=True).contains_points(centres).reshape(shape)


def by_skimage(polygon, shape):
    return polygon2mask(shape, polygon[:, ::-1])


READERS = [inside, by_matplotlib, by_skimage]
PICTURES = {
    "one pixel": ["...", ".#.", "..."],
    "one pixel in all": ["#"],
    "a line": ["#####"],
    "corners that touch": ["#..", ".#.", "..#"],
    "corners that touch, crosswise": ["#.#", ".#.", "#.#"],
    "everything": ["###", "###"],
    "a hole": ["####", "#.##", "####"],
    "two holes above each other": ["###", "#.#", "###", "#.#", "###"],
    "two holes side by side": ["#####", "#.#.#", "#####"],
    "holes that touch at a corner": ["####", "#.##", "##.#", "####"],
    "an island in a hole": ["#####", "#...#", "#.#.#", "#...#", "#####"],
    "a hole in an island in a hole": [
        "#######",
        "#.....#",
        "#.###.#",
        "#.#.#.#",
        "#.###.#",
        "#.....#",
        "#######",
    ],
    "a hole behind a hook": ["#####", "#...#", "#.#.#", "#.###", "#####", "##.##", "#####"],
    "nothing": ["...", "..."],
}


@pytest.mark.oracle
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", PICTURES)
def test_every_pixel_is_inside_exactly_where_it_was(name, reader):
    picture = np.array([[pixel == "#" for pixel in row] for row in PICTURES[name]])
    drawn = [reader(polygon, picture.shape) for polygon in outlines(picture)]
    assert np.array_equal(np.sum(drawn, axis=0, dtype=int) if drawn else np.zeros(picture.shape), picture)


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9), st.integers(1, 14), st.integers(1, 14))
def test_random_pictures_come_back_whether_polygons_are_joined_or_subtracted(seed, share, rows, columns):
    picture = np.random.default_rng(seed).random((rows, columns)) < share
    for reader in (inside, by_matplotlib):
        drawn = np.sum(
            [np.zeros(picture.shape, int), *(reader(each, picture.shape) for each in outlines(picture))], axis=0
        )
        # 0 or 1 everywhere: no polygon lies on another, so union and exclusive or are the same.
        assert np.array_equal(drawn, picture)


def test_the_area_is_that_of_the_pixels_but_for_half_a_pixel():
    row, column = np.mgrid[-20:21, -20:21]
    (disc,) = outlines(np.hypot(row, column) < 17.3)
    assert area(disc) == np.count_nonzero(np.hypot(row, column) < 17.3) - 0.5
    ring = (np.hypot(row, column) < 17.3) & (np.hypot(row, column) > 6)
    (keyhole,) = outlines(ring)
    assert area(keyhole) == np.count_nonzero(ring)


def test_the_way_into_a_hole_crosses_no_other_hole():
    picture = np.ones((9, 9))
    picture[2, 1:8], picture[5, 4], picture[7, 2:6] = 0, 0, 0
    (polygon,) = outlines(picture)
    sides = np.linspace(polygon, np.roll(polygon, -1, axis=0), 41).reshape(-1, 2)
    grey = map_coordinates(np.pad(picture, 1), sides[:, ::-1].T + 1, order=1)
    assert grey.min() > 0.4


def test_a_straight_side_has_no_points_between_its_ends():
    (square,) = outlines(np.ones((30, 40)))
    assert len(square) == 8


def test_the_outline_passes_midway_between_pixels_and_never_nearer_to_a_centre():
    picture = np.random.default_rng(0).random((40, 40)) < 0.5
    for polygon in outlines(picture):
        sides = np.linspace(polygon, np.roll(polygon, -1, axis=0), 21)
        centres = np.rint(sides)
        assert np.linalg.norm(sides - centres, axis=2).min() > 0.35


def test_one_polygon_a_region_however_many_holes_it_has():
    picture = np.random.default_rng(1).random((30, 30)) < 0.7
    regions = len(outlines(picture))
    assert label(picture, connectivity=2).max() <= regions <= label(picture, connectivity=1).max()


def area(polygon):
    x, y = polygon.T
    return abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
