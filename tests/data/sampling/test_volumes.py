import numpy as np
import pytest
import torch

from pancascade.data.readers import AxialSlice, Case
from pancascade.data.sampling import Augmentation, VolumeSet, augment, contains, draw_batches, load_volumes
from pancascade.imaging.preprocessing import VolumeGrid, Window
from pancascade.labels import Label

GRID = VolumeGrid(kind="volume", window=Window(lower_hu=0, upper_hu=255))
STRONG = Augmentation(
    rotation_degrees=25, scaling=0.2, stretching=0.2, shift_pixels=4, elastic_pixels=2, mirror_probability=0.5,
    brightness=0.1, contrast=0.2, gamma=0.3, blur_probability=0.5,
)  # fmt: skip
SHAPE_ONLY = Augmentation(rotation_degrees=25, scaling=0.2, stretching=0.2, shift_pixels=4, elastic_pixels=2)


def case_of(name, hu, labels, patient="p"):
    """A case of arrays (I, J, K), axes to left, posterior, superior."""

    def read():
        slices = zip(np.moveaxis(hu, 2, 0), np.moveaxis(labels, 2, 0), strict=True)
        return [AxialSlice(f"{name}_z{k}", patient, h.T, m.T, None) for k, (h, m) in enumerate(slices)]

    return Case(name, patient, "test", read)


def cases(*shapes, labels=(Label.PANCREAS,)):
    """A case of each shape; the n-th is n everywhere and bears the n-th label in one voxel."""
    found = []
    for index, shape in enumerate(shapes):
        marked = np.zeros(shape, np.uint8)
        marked[1, 2, 0] = labels[index % len(labels)]
        found.append(case_of(f"v{index}", np.full(shape, index, np.int16), marked, patient=f"p{index // 2}"))
    return found


def volumes(*shapes, **options):
    return load_volumes(cases(*shapes, **options), GRID)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def dealt(sets, counts, *, batch_size=1, seed=0, augmentation=None):
    settings = augmentation or Augmentation()
    return list(draw_batches(sets, counts=counts, batch_size=batch_size, augmentation=settings, generator=seeded(seed)))


# ── reading ──


def test_axes_of_a_volume_go_to_the_left_the_back_and_the_head():
    hu = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    found = load_volumes([case_of("a", hu, (hu % 3).astype(np.uint8))], GRID)
    assert found.images[0].shape == (1, 5, 4, 3)
    assert torch.equal(found.images[0][0], torch.from_numpy(hu.astype(np.uint8)))
    assert torch.equal(found.labels[0], torch.from_numpy(hu % 3).to(torch.uint8))


def test_rows_of_a_slice_become_the_second_axis_and_slices_the_third():
    low, high = np.zeros((2, 3), np.int16), np.zeros((2, 3), np.int16)
    low[0, 2], high[1, 0] = 100, 200  # row 0 is anterior, column 0 the patient's right
    slices = [AxialSlice(name, "p", hu, (hu > 0).astype(np.uint8), None) for name, hu in (("z0", low), ("z1", high))]
    found = load_volumes([Case("a", "p", "test", lambda: slices)], GRID)
    expected = torch.zeros(3, 2, 2, dtype=torch.uint8)
    expected[2, 0, 0], expected[0, 1, 1] = 100, 200
    assert torch.equal(found.images[0][0], expected)
    assert torch.equal(found.labels[0], (expected > 0).to(torch.uint8))


def test_volumes_are_shown_through_the_window_in_256_greys():
    hu = np.array([-1000, -100, -99, 69, 70, 71, 239, 240, 3000], np.int16).reshape(3, 3, 1)
    grid = VolumeGrid(kind="volume", window=Window(lower_hu=-100, upper_hu=240))
    found = load_volumes([case_of("a", hu, np.zeros((3, 3, 1), np.uint8))], grid)
    assert found.images[0].dtype == torch.uint8
    assert found.images[0].flatten().tolist() == [0, 0, 1, 127, 128, 128, 254, 255, 255]


def test_volumes_keep_their_own_sizes_names_and_patients():
    found = volumes((8, 6, 4), (5, 7, 1), (9, 6, 4))
    assert [tuple(image.shape) for image in found.images] == [(1, 8, 6, 4), (1, 5, 7, 1), (1, 9, 6, 4)]
    assert [tuple(labels.shape) for labels in found.labels] == [(8, 6, 4), (5, 7, 1), (9, 6, 4)]
    assert found.names == ("v0", "v1", "v2")
    assert found.patients == ("p0", "p0", "p1")
    assert len(found) == 3


def test_a_rule_selects_volumes_by_their_label_maps():
    found = volumes(*[(4, 4, 2)] * 4, labels=(Label.PANCREAS, Label.TUMOUR))
    kept = found.select(contains(Label.TUMOUR))
    assert isinstance(kept, VolumeSet)
    assert (kept.names, kept.patients) == (("v1", "v3"), ("p0", "p1"))
    assert [int(image[0, 0, 0, 0]) for image in kept.images] == [1, 3]
    assert all((labels == Label.TUMOUR).any() for labels in kept.labels)
    assert len(found.select(lambda labels: not labels.any())) == 0


# ── batches ──


def test_a_batch_is_of_float_images_between_0_and_1():
    batch = volumes((8, 6, 4), (5, 7, 1)).batch([1])
    assert batch.names == ("v1",)
    assert batch.images.dtype == torch.float32
    assert torch.equal(batch.images, torch.full((1, 1, 5, 7, 1), 1 / 255))
    assert batch.labels.dtype == torch.uint8
    assert batch.labels.shape == (1, 5, 7, 1)


def test_volumes_of_one_size_can_be_batched_in_any_order():
    batch = volumes(*[(4, 5, 3)] * 3).batch([2, 0])
    assert batch.names == ("v2", "v0")
    assert batch.images[:, 0, 0, 0, 0].mul(255).tolist() == [2, 0]


def test_volumes_of_two_sizes_are_no_batch():
    with pytest.raises(RuntimeError, match="equal size"):
        volumes((4, 5, 3), (4, 5, 2)).batch([0, 1])


def test_a_batch_leaves_the_volumes_in_memory_as_they_were():
    found = volumes((4, 5, 3))
    found.batch([0]).images.fill_(0.5)
    found.batch([0]).labels.fill_(2)
    assert int(found.images[0].max()) == 0
    assert int((found.labels[0] > 0).sum()) == 1


# ── dealing ──


def test_volumes_of_any_sizes_are_dealt_one_by_one_each_once_a_round():
    shapes = [(8, 6, 4), (5, 7, 3), (9, 6, 2), (4, 4, 4), (6, 6, 6)]
    found = volumes(*shapes)
    for seed in range(3):
        batches = dealt([found], [8], seed=seed)
        names = [name for batch in batches for name in batch.names]
        assert sorted(names.count(name) for name in found.names) == [1, 1, 2, 2, 2]
        for batch in batches:
            (index,) = (found.names.index(name) for name in batch.names)
            assert batch.images.shape == (1, 1, *shapes[index])
            assert torch.allclose(batch.images, found.images[index] / 255, atol=1e-5)
            assert torch.equal(batch.labels[0], found.labels[index])


def test_sets_of_volumes_are_mixed_by_their_counts():
    one, other = volumes((4, 4, 2), (5, 4, 2)), volumes((6, 4, 2))
    sides = [batch.images.shape[2] for batch in dealt([one, other], [3, 5])]
    assert sides.count(6) == 5
    assert sorted(set(sides)) == [4, 5, 6]


def test_volumes_of_one_size_are_dealt_in_larger_batches_too():
    batches = dealt([volumes(*[(4, 5, 3)] * 4)], [4], batch_size=2)
    assert [tuple(batch.images.shape) for batch in batches] == [(2, 1, 4, 5, 3)] * 2
    assert sorted(name for batch in batches for name in batch.names) == ["v0", "v1", "v2", "v3"]


def test_dealing_changes_volumes_at_random_but_not_the_set():
    found = volumes((16, 12, 4))
    (batch,) = dealt([found], [1], augmentation=Augmentation(noise=0.5))
    assert float(batch.images.max()) > 0.05
    assert int(found.images[0].max()) == 0


# ── augmentation ──


def textured(count=1, shape=(24, 20, 5)):
    images = torch.rand(count, 1, *shape, generator=seeded(3))
    return images, (images[:, 0] * 3).to(torch.uint8)


def test_nothing_moves_where_all_is_off():
    images, labels = textured(2)
    same, kept = augment(images, labels, settings=Augmentation(), generator=seeded())
    assert torch.allclose(same, images, atol=1e-5)
    assert torch.equal(kept, labels)


@pytest.mark.parametrize("seed", range(6))
def test_every_axial_slice_changes_as_it_would_alone(seed):
    images, labels = textured()
    changed, moved = augment(images, labels, settings=STRONG, generator=seeded(seed))
    assert changed.shape == images.shape
    assert moved.shape == labels.shape
    assert (changed - images).abs().max() > 0.2
    for k in range(5):
        alone, marked = augment(
            images[..., k].transpose(2, 3), labels[..., k].transpose(1, 2), settings=STRONG, generator=seeded(seed)
        )
        assert torch.allclose(changed[..., k].transpose(2, 3), alone, atol=1e-6)
        assert torch.equal(moved[..., k].transpose(1, 2), marked)


def test_no_slice_moves_along_the_body():
    labels = torch.zeros(1, 24, 20, 5, dtype=torch.uint8)
    labels[:, 9:15, 7:13, 2] = 1
    images, moved = augment(labels[:, None].float(), labels, settings=SHAPE_ONLY, generator=seeded(1))
    assert moved.flatten(1, 2).any(dim=1).tolist() == [[False, False, True, False, False]]
    assert images[0, 0].amax(dim=(0, 1)).gt(0).tolist() == [False, False, True, False, False]


def test_labels_of_a_volume_move_with_its_image():
    labels = torch.zeros(1, 40, 32, 6, dtype=torch.uint8)
    labels[:, 12:28, 10:22, 1:5] = Label.TUMOUR
    for seed in range(4):
        image, moved = augment(labels[:, None] / 2, labels, settings=SHAPE_ONLY, generator=seeded(seed))
        assert set(moved.unique().tolist()) == {0, Label.TUMOUR}
        assert not torch.equal(moved, labels)
        both = ((image[:, 0] >= 0.5) & (moved > 0)).sum()
        assert 2 * both / ((image[:, 0] >= 0.5).sum() + (moved > 0).sum()) > 0.97


def test_a_shift_of_a_volume_is_in_its_own_pixels_along_both_axes():
    labels = torch.zeros(1, 64, 32, 1, dtype=torch.uint8)
    labels[:, 30:34, 14:18] = 1
    settings = Augmentation(shift_pixels=6)
    shifts = []
    for seed in range(40):
        _, moved = augment(labels[:, None].float(), labels, settings=settings, generator=seeded(seed))
        shifts.append(torch.nonzero(moved[0, ..., 0]).float().mean(0) - torch.tensor([31.5, 15.5]))
    assert torch.stack(shifts).abs().amax(0).tolist() == pytest.approx([6, 6], abs=0.6)


def test_a_certain_mirror_swaps_left_and_right_of_a_volume_only():
    images, labels = textured()
    turned, moved = augment(images, labels, settings=Augmentation(mirror_probability=1), generator=seeded())
    assert torch.allclose(turned, images.flip(2), atol=1e-5)
    assert torch.equal(moved, labels.flip(1))


def test_noise_differs_from_slice_to_slice_and_has_one_strength():
    images, labels = torch.full((1, 1, 40, 40, 8), 0.5), torch.zeros(1, 40, 40, 8, dtype=torch.uint8)
    noisy, kept = augment(images, labels, settings=Augmentation(noise=0.1), generator=seeded(2))
    strengths = (noisy - 0.5)[0, 0].flatten(0, 1).std(dim=0)
    assert not kept.any()
    assert float(strengths.min()) > 0.005
    assert float(strengths.max() / strengths.min()) < 1.15
    assert torch.corrcoef((noisy - 0.5)[0, 0].flatten(0, 1).T).triu(1).abs().max() < 0.15


def test_volumes_of_a_batch_change_each_in_its_own_way():
    images, labels = textured()
    both, moved = augment(images.expand(2, -1, -1, -1, -1), labels.expand(2, -1, -1, -1), settings=STRONG,
                          generator=seeded(4))  # fmt: skip
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(moved[0], moved[1])
