import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pancascade.errors import OutputError
from pancascade.imaging.volume import Volume, reorient
from pancascade.labels import COLOURS, Label
from pancascade.report import write_overview
from pancascade.report.scan.overview import choose_slices, first_panel
from pancascade.report.scan.slice_areas import slice_areas

SIZE = (1280, 576)
SHAPE = (40, 32, 24)
LPS = np.array([[-5.0, 0, 0, 97], [0, -6, 0, 93], [0, 0, 4, -40], [0, 0, 0, 1]])


def case(*, pancreas=True, tumour=True) -> tuple[Volume, Volume]:
    column, row = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    slope = np.arange(SHAPE[2]) * 4
    hu = np.where(np.hypot(column, row)[..., None] < 0.9, 40 + slope, -1000).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    if pancreas:
        labels[12:30, 10:20, 5:19] = Label.PANCREAS
    if tumour:
        labels[14:18, 12:15, 14:17] = Label.TUMOUR
        labels[14:21, 12:17, 16] = Label.TUMOUR
    return Volume(hu, LPS), Volume(labels, LPS)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures that were saved, for what pixels do not tell."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self, *arguments, **options):
        figures.append(self)
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def share_of(picture: np.ndarray, colour: str) -> float:
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
    return float((np.abs(picture[..., :3].astype(int) - rgb).max(axis=-1) < 30).mean())


def read(path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == SIZE
        return np.asarray(picture)


def test_the_picture_shows_organ_and_tumour_in_their_colours(tmp_path):
    scan, mask = case()
    write_overview(scan, mask, tmp_path / "overview.png")
    both = read(tmp_path / "overview.png")
    assert both.std() > 20
    write_overview(*case(tumour=False), tmp_path / "overview.png")
    organ = read(tmp_path / "overview.png")
    write_overview(*case(pancreas=False, tumour=False), tmp_path / "overview.png")
    nothing = read(tmp_path / "overview.png")
    green, red = COLOURS[Label.PANCREAS], COLOURS[Label.TUMOUR]
    assert share_of(both, green) > 2 * share_of(nothing, green)
    assert share_of(organ, green) > 2 * share_of(nothing, green)
    assert share_of(both, red) > 2 * share_of(organ, red)
    assert nothing.std() > 20
    assert [path.name for path in tmp_path.iterdir()] == ["overview.png"]


def test_the_first_slice_is_the_one_with_the_largest_tumour(tmp_path, drawn):
    scan, mask = case()
    write_overview(scan, mask, tmp_path / "overview.png")
    first, *others = drawn[0].axes
    assert first.get_title() == "largest tumour, slice 17 of 24 from the feet"
    assert len(others) == 7
    assert not any("largest" in axes.get_title() for axes in others)
    shown = np.asarray(first.images[0].get_array())
    np.testing.assert_allclose(shown, np.clip((scan.voxels[:, :, 16].T + 100.0) / 340, 0, 1), atol=1e-6)
    assert first.images[0].axes.get_aspect() == pytest.approx(6 / 5)
    for axes in drawn[0].axes:
        left, right = axes.get_xlim()
        bottom, top = axes.get_ylim()
        assert left <= 12 - 0.5
        assert right >= 29 + 0.5
        assert top <= 10 - 0.5 < 19 + 0.5 <= bottom, "anterior is up"


def test_the_red_contour_runs_round_the_tumour(tmp_path, drawn):
    write_overview(*case(), tmp_path / "overview.png")
    corners = [
        (path.vertices.min(axis=0), path.vertices.max(axis=0))
        for contours in drawn[0].axes[0].collections
        for path in contours.get_paths()
    ]
    (organ_low, organ_high), (low, high) = corners
    np.testing.assert_allclose((organ_low, organ_high), ((11.5, 9.5), (29.5, 19.5)))
    np.testing.assert_allclose((low, high), ((13.5, 11.5), (20.5, 16.5)))


@pytest.mark.parametrize("codes", ["RAS", "PIR"])
def test_a_turned_scan_gives_the_same_pictures(tmp_path, drawn, codes):
    scan, mask = case()
    write_overview(scan, mask, tmp_path / "one.png")
    write_overview(reorient(scan, codes), reorient(mask, codes), tmp_path / "other.png")
    assert np.array_equal(read(tmp_path / "one.png"), read(tmp_path / "other.png"))


def test_volumes_stand_in_the_heading(tmp_path, drawn):
    write_overview(*case(), tmp_path / "overview.png")
    (legend,) = drawn[0].legends
    tumour = (4 * 3 * 2 + 7 * 5) * 0.12
    pancreas = 18 * 10 * 14 * 0.12 - tumour
    assert [text.get_text() for text in legend.get_texts()] == [
        f"pancreas {pancreas:.1f} mL",
        f"tumour {tumour:.1f} mL",
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_a_scan_of_few_slices_is_drawn(tmp_path, drawn, count):
    scan, mask = case()
    few = [Volume(volume.voxels[:, :, 14 : 14 + count], LPS) for volume in (scan, mask)]
    write_overview(*few, tmp_path / "overview.png")
    assert read(tmp_path / "overview.png").std() > 10
    assert len(drawn[0].axes) == count


@pytest.mark.parametrize("label", Label)
def test_a_mask_of_one_label_alone_everywhere_is_drawn(tmp_path, label):
    scan, mask = case()
    write_overview(scan, mask.with_voxels(np.full(SHAPE, label, np.uint8)), tmp_path / "overview.png")
    assert read(tmp_path / "overview.png").std() > 10


def test_a_single_voxel_is_drawn(tmp_path):
    scan, mask = case()
    labels = np.zeros(SHAPE, np.uint8)
    labels[0, 31, 23] = Label.TUMOUR
    write_overview(scan, mask.with_voxels(labels), tmp_path / "overview.png")
    assert read(tmp_path / "overview.png").std() > 10


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("boom"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch, error):
    def half(self, path, **_):
        path.write_bytes(b"\x89PNG")
        raise error

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        write_overview(*case(), tmp_path / "overview.png")
    assert list(tmp_path.iterdir()) == []


# ── which slices ──


def labels_by_slice(organ, tumour=()) -> np.ndarray:
    """A mask whose slices hold so many voxels of the organ, tumour included, and of the tumour."""
    mask = np.zeros((10, 10, len(organ)), np.uint8)
    for k, voxels in enumerate(organ):
        mask[:, :, k].flat[:voxels] = Label.PANCREAS
    for k, voxels in enumerate(tumour):
        mask[:, :, k].flat[:voxels] = Label.TUMOUR
    return mask


def test_the_largest_tumour_comes_first_and_the_others_head_first():
    organ = [0, 5, 9, 30, 20, 9, 9, 9, 9, 9, 9, 9, 9, 0]
    chosen = choose_slices(slice_areas(labels_by_slice(organ, [0, 0, 3, 1, 7, 2])))
    assert chosen[0] == 4
    assert chosen[1:] == sorted(chosen[1:], reverse=True)
    assert len(chosen) == len(set(chosen)) == 8
    assert set(chosen) <= set(range(1, 13))
    assert chosen[1] == 12


def test_without_a_tumour_the_slice_with_most_pancreas_comes_first():
    assert choose_slices(slice_areas(labels_by_slice([0, 5, 9, 30, 20, 9, 0])))[0] == 3


def test_both_ends_of_a_long_organ_are_shown():
    chosen = choose_slices(slice_areas(labels_by_slice([0, *[9] * 50, 20, *[9] * 50, 0])))
    assert chosen[0] == 51
    assert max(chosen) == 101
    assert min(chosen) <= 101 / 8 + 1


def test_a_short_organ_shows_each_of_its_slices_once():
    assert choose_slices(slice_areas(labels_by_slice([0, 0, 5, 9, 7, 0, 0]))) == [3, 4, 2]


def test_without_an_organ_slices_are_spread_over_the_scan():
    chosen = choose_slices(slice_areas(labels_by_slice([0] * 71)))
    assert chosen == [70, 60, 50, 40, 30, 20, 10, 0]
    assert choose_slices(slice_areas(labels_by_slice([0]))) == [0]
    assert choose_slices(slice_areas(labels_by_slice([0, 0]))) == [1, 0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_more_slices_than_asked(count):
    assert len(choose_slices(slice_areas(labels_by_slice([9] * 30, [1] * 30)), count=count)) == count


def test_every_slice_shows_the_patients_sides_and_a_scale(tmp_path, drawn):
    write_overview(*case(), tmp_path / "overview.png")
    (figure,) = drawn
    for axes in figure.axes:
        texts = {text.get_text(): text.get_position()[0] for text in axes.texts}
        assert texts["R"] < 0.5 < texts["L"]
        (bar,) = [text for text in texts if text.endswith(" mm")]
        start, end = axes.lines[-1].get_xdata()
        assert (end - start) * 5.0 == pytest.approx(float(bar.removesuffix(" mm")))
        low, high = sorted(axes.get_xlim())
        assert low < start < end < high


def test_the_first_panel_is_the_slice_with_the_largest_tumour_without_its_title(tmp_path):
    write_overview(*case(), tmp_path / "overview.png")
    assert first_panel(tmp_path / "overview.png", width=144).width == 144
    panel = first_panel(tmp_path / "overview.png", width=SIZE[0])
    assert panel.width == SIZE[0] // 4
    assert share_of(np.asarray(panel), COLOURS[Label.TUMOUR]) > 0
