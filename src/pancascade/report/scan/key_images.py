"""Key images of a result: three planes through the largest lesion, and each lesion with its diameters."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image

from pancascade.imaging.preprocessing import Window
from pancascade.imaging.volume import Box, Volume, crop, reorient
from pancascade.labels import COLOURS, Label
from pancascade.report.figures import new_figure
from pancascade.report.scan.planes import AXIAL, PLANES, FieldOfView, PlaneImage, corner_points, cut_plane, field_around
from pancascade.results.measurements import Lesion, Measurements, Point

MOST_LESIONS = 6
WINDOW = Window(lower_hu=-100, upper_hu=240)
ORGAN_MARGIN_MM, LESION_MARGIN_MM = 45.0, 30.0
LONG_COLOUR, SHORT_COLOUR = "#ffd166", "#7fd8ff"
LONGEST_SIDE, DPI = 560, 100
_BAR_LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
_OUTLINE = (withStroke(linewidth=2.5, foreground="black"),)


@dataclass(frozen=True)
class KeyImage:
    """One picture of a report.

    Attributes:
        title: What it shows.
        note: Plane and slice.
        address: ``data:`` address of a JPEG.
        width: Width in pixels.
        height: Height in pixels.
    """

    title: str
    note: str
    address: str
    width: int
    height: int


@dataclass(frozen=True)
class KeyImages:
    """All pictures of a report.

    Attributes:
        planes: Axial, coronal and sagittal plane, if the scan has them.
        lesions: An axial picture of each lesion, the largest first, at most `MOST_LESIONS`.
        sentences: Remarks about the pictures.
    """

    planes: tuple[KeyImage, ...]
    lesions: tuple[KeyImage, ...]
    sentences: tuple[str, ...]


def draw_key_images(scan: Volume, mask: Volume, measurements: Measurements) -> KeyImages:
    """Draw the pictures that a reader needs first.

    The planes pass through the largest lesion, or the middle of the pancreas, or, where nothing was found, the middle
    of the scan. They are the scan's own planes nearest to axial, coronal and sagittal, without rotation.

    Args:
        scan: Hounsfield units, any orientation.
        mask: Labels on the same grid.
        measurements: The lesions, with their diameters.

    Raises:
        GeometryError: The mask has another shape than the scan.
    """
    scan_lps, marks = reorient(scan, "LPS"), reorient(scan.with_voxels(mask.voxels), "LPS")
    found = Box.around(marks.voxels)
    centre, sentences = _choose_centre(marks if found is None else crop(marks, found), measurements)
    around = corner_points(found or Box.whole(marks.shape), marks)
    planes = []
    for plane in PLANES:
        plane_image = cut_plane(scan_lps, marks, plane, through_mm=centre)
        if plane_image is None:
            sentences.append(f"The scan is too thin for a picture of the {plane.name} plane.")
            continue
        field = field_around(plane_image, around, margin_mm=ORGAN_MARGIN_MM)
        planes.append(_draw(plane_image, field, title=plane.name.capitalize()))
    lesions = [_draw_lesion(scan_lps, marks, lesion) for lesion in measurements.lesions[:MOST_LESIONS]]
    left = len(measurements.lesions) - MOST_LESIONS
    if left > 0:
        sentences.append(f"The {MOST_LESIONS} largest lesions are shown; {left} more are only in the table.")
    return KeyImages(tuple(planes), tuple(image for image in lesions if image is not None), tuple(sentences))


def _choose_centre(marks: Volume, measurements: Measurements) -> tuple[Point, list[str]]:
    """Return where the planes cross, and a sentence about it."""
    tumour = marks.voxels == Label.TUMOUR
    if tumour.any():
        wanted = measurements.lesions[0].centroid_mm if measurements.lesions else None
        return _voxel_near(marks, tumour, wanted), ["The three planes cross in the largest lesion."]
    organ = marks.voxels > 0
    if organ.any():
        return _voxel_near(marks, organ, None), ["No tumour was marked; the three planes cross in the pancreas."]
    middle = marks.affine @ [*((size - 1) / 2 for size in marks.shape), 1.0]
    sentence = "Nothing was found: neither pancreas nor tumour was marked. The planes show the middle of the scan."
    return _point(middle), [sentence]


def _voxel_near(marks: Volume, inside: NDArray[np.bool_], wanted_mm: Point | None) -> Point:
    """Return the marked voxel nearest to a point or to their centre, which may lie outside a curved organ."""
    voxels = np.argwhere(inside).astype(np.float64)
    places = voxels @ marks.affine[:3, :3].T + marks.affine[:3, 3]
    wanted = places.mean(axis=0) if wanted_mm is None else np.array(wanted_mm)
    return _point(places[np.argmin(((places - wanted) ** 2).sum(axis=1))])


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def _draw_lesion(scan_lps: Volume, marks: Volume, lesion: Lesion) -> KeyImage | None:
    """Draw a lesion's diameters in the axial slice of their measurement; None where there is no such plane."""
    ends = np.array([*lesion.diameters.long_ends_mm, *lesion.diameters.short_ends_mm])
    plane_image = cut_plane(scan_lps, marks, AXIAL, through_mm=_point(ends.mean(axis=0)))
    if plane_image is None:
        return None
    field = field_around(plane_image, ends, margin_mm=LESION_MARGIN_MM)
    return _draw(plane_image, field, title=f"Lesion {lesion.number}", lesion=lesion)


def _draw(plane_image: PlaneImage, field: FieldOfView, *, title: str, lesion: Lesion | None = None) -> KeyImage:
    pixel_mm = max(field.width_mm, field.height_mm) / LONGEST_SIDE
    grey = WINDOW.apply(plane_image.sample(field, pixel_mm=pixel_mm))
    height, width = grey.shape
    figure = new_figure(width / DPI, height / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    extent = (field.left, field.right, field.bottom, field.top)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="nearest")
    _draw_contours(axes, plane_image)
    if lesion is not None:
        _draw_diameters(axes, plane_image, lesion)
    _draw_letters(axes, plane_image.plane.letters)
    _draw_bar(axes, field, pixel_mm=pixel_mm)
    axes.set(xlim=(field.left, field.right), ylim=(field.bottom, field.top))
    axes.set_axis_off()
    note = f"slice {plane_image.index + 1} of {plane_image.count} from {plane_image.plane.origin}"
    return KeyImage(title, note, _embed_jpeg(figure), width, height)


def _draw_contours(axes: Any, plane_image: PlaneImage) -> None:
    """Draw the outlines of organ and tumour, closed at the edge of the scan."""
    across_mm, down_mm = plane_image.grid_mm(margin=1)
    for label, colour in COLOURS.items():
        inside = plane_image.labels == label if label == Label.TUMOUR else plane_image.labels > 0
        if inside.any():
            axes.contour(across_mm, down_mm, np.pad(inside, 1), [0.5], colors=colour, linewidths=1.5)


def _draw_diameters(axes: Any, plane_image: PlaneImage, lesion: Lesion) -> None:
    """Draw both diameters as lines, each with its length at its lower or right end."""
    found = lesion.diameters
    lines = (
        ("long", found.long_mm, found.long_ends_mm, LONG_COLOUR),
        ("short", found.short_mm, found.short_ends_mm, SHORT_COLOUR),
    )
    centre = plane_image.place(np.array([*found.long_ends_mm, *found.short_ends_mm])).mean(axis=0)
    for name, length_mm, ends_mm, colour in lines:
        ends = plane_image.place(np.array(ends_mm))
        axes.plot(*ends.T, color=colour, linewidth=1.4, marker="o", markersize=2.5, path_effects=_OUTLINE)
        # The long one is labelled at its lower end, the short one at its right end, so that the labels do not overlap.
        end = ends[np.argmax(ends[:, 1] if name == "long" else ends[:, 0])]
        way = end - centre
        way = way / (np.linalg.norm(way) or 1.0)
        axes.annotate(
            f"{name} {length_mm:.1f} mm",
            end,
            xytext=(12 * way[0], -12 * way[1]),
            textcoords="offset points",
            ha="left" if way[0] >= 0 else "right",
            va="top" if way[1] >= 0 else "bottom",
            color=colour,
            fontsize=11,
            fontweight="bold",
            path_effects=_OUTLINE,
        )


def _draw_letters(axes: Any, letters: str) -> None:
    sides = [(0.012, 0.5, "left", "center"), (0.988, 0.5, "right", "center")]
    places = [*sides, (0.5, 0.985, "center", "top"), (0.5, 0.015, "center", "bottom")]
    for letter, (x, y, ha, va) in zip(letters, places, strict=True):
        style = {"transform": axes.transAxes, "ha": ha, "va": va, "path_effects": _OUTLINE}
        axes.text(x, y, letter, color="white", fontsize=13, fontweight="bold", **style)


def _draw_bar(axes: Any, field: FieldOfView, *, pixel_mm: float) -> None:
    """Draw a scale bar at the lower left: the longest round length that takes at most a third of the width."""
    length = next((mm for mm in _BAR_LENGTHS_MM if mm <= field.width_mm / 3), None)
    if length is None:
        return
    left, below = field.left + 14 * pixel_mm, field.bottom - 14 * pixel_mm
    axes.plot([left, left + length], [below, below], color="white", linewidth=3, path_effects=_OUTLINE)
    middle = left + length / 2
    words = {"ha": "center", "va": "bottom", "path_effects": _OUTLINE}
    axes.text(middle, below - 6 * pixel_mm, f"{length} mm", color="white", fontsize=10, **words)


def _embed_jpeg(figure: Any) -> str:
    """Return the figure as a ``data:`` address; without colour subsampling, so that thin contours keep their colour."""
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    packed = io.BytesIO()
    picture.save(packed, format="JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode("ascii")
