"""Fixed-point and RSTN: slices in three planes, windows, votes, rounds, the gradient between the stages."""

import json

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import pancascade
from pancascade.imaging.io import write_volume
from pancascade.imaging.volume import Box, Volume, reorient
from pancascade.labels import Label
from pancascade.methods.cascades import ThreeViewsSettings, build_cascade
from pancascade.methods.cascades.slice_windows import as_stack, as_volume, slice_windows, window_mean
from pancascade.methods.networks import NetworkSettings
from pancascade.training import fit

TINY = NetworkSettings(name="unet", preset="tiny")
VIEWS = ("axial", "coronal", "sagittal")


def cascade(**options):
    torch.manual_seed(0)
    return build_cascade(ThreeViewsSettings(first=TINY, second=TINY, margin=2, **options))


class Bright(nn.Module):
    """Segments what is brighter than a half, and counts how often it is asked."""

    def __init__(self, *, also=0.0):
        super().__init__()
        self.also, self.asked, self.sizes = also, 0, []

    def forward(self, windows):
        self.asked += 1
        self.sizes.append(tuple(windows.shape))
        return 100 * (windows - 0.5 + self.also)


def volume_of_a_box():
    volume = torch.zeros(1, 1, 14, 12, 10)
    volume[..., 4:9, 3:7, 2:6] = 1
    return volume


def with_networks(made, first, second):
    for view in VIEWS:
        made.first[view], made.second[view] = first[view], second[view]
    return made.eval()


# ── slices and windows ──


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_s_slices_put_back_are_the_volume(view):
    volume = torch.rand(3, 4, 5)
    stack = as_stack(volume, view)
    assert torch.equal(as_volume(stack, view), volume)
    # Slices, rows and columns; the patient's superior and posterior run along rows.
    assert stack.shape == {"axial": (5, 4, 3), "coronal": (4, 5, 3), "sagittal": (3, 5, 4)}[view]


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_windows_put_back_are_the_slices(number, count):
    stack = torch.rand(number, 2, 3)
    windows = slice_windows(stack, count)
    assert windows.shape == (number, count, 2, 3)
    assert torch.equal(windows[:, count // 2], stack)
    assert torch.equal(windows[0, 0], stack[0])
    assert torch.equal(windows[-1, -1], stack[-1])
    torch.testing.assert_close(window_mean(windows), stack)
    last = torch.tensor([number - 1])
    assert torch.equal(slice_windows(stack, count, at=last), windows[-1:])


def test_a_slice_s_answer_is_the_mean_of_the_windows_that_show_it():
    windows = torch.arange(12.0).view(4, 3, 1, 1)  # window n says 3n, 3n + 1, 3n + 2 of slices n − 1, n, n + 1
    assert window_mean(windows).flatten().tolist() == [(1 + 3) / 2, (2 + 4 + 6) / 3, (5 + 7 + 9) / 3, (8 + 10) / 2]


# ── the pass ──


def test_perfect_networks_give_the_truth_after_one_round():
    second = {view: Bright() for view in VIEWS}
    made = with_networks(cascade(), {view: Bright() for view in VIEWS}, second)
    volume = volume_of_a_box()
    located = made.locate(volume)
    assert located.boxes[0][0].slices == (slice(2, 11), slice(1, 9), slice(0, 8))
    maps = made.segment(volume, located)
    assert torch.equal(maps[:, 1:] >= 0.5, volume > 0)
    # Windows that hold any of it, the ones before and after included; boxes with a border of two.
    assert [second[view].asked for view in VIEWS] == [4 + 2, 4 + 2, 5 + 2]
    assert {size[-2:] for size in second["axial"].sizes} == {(32, 32)}  # a plain U-Net's crops are filled up


def test_two_of_three_views_outvote_the_third():
    blind = {view: Bright(also=-10 if view == "coronal" else 0) for view in VIEWS}
    volume = volume_of_a_box()
    for networks in (with_networks(cascade(), blind, blind), with_networks(cascade(vote="mean"), blind, blind)):
        assert torch.equal(networks(volume)[:, 1:] >= 0.5, volume > 0)
    blind["axial"] = blind["coronal"]
    assert not (with_networks(cascade(), blind, blind)(volume)[:, 1:] >= 0.5).any()


@pytest.mark.parametrize(("agreement", "rounds", "asked"), [(0.95, 10, 2), (0.5, 10, 1), (1.0, 1, 1), (1.0, 10, 2)])
def test_rounds_end_when_two_masks_agree_or_at_the_last_one(agreement, rounds, asked):
    """Stage 1 finds a mask twice as long, of Dice ⅔ with stage 2's; from then on nothing changes."""
    longer = volume_of_a_box()
    longer[..., 4:9, 3:7, 2:6] = 0.4
    longer[..., 4:9, 3:7, 2:10] += 0.2
    second = {view: Bright(also=-0.05) for view in VIEWS}
    made = cascade(agreement=agreement, rounds=rounds, views=("sagittal",))
    made.first["sagittal"], made.second["sagittal"] = Bright(also=0.35), second["sagittal"]
    made.eval().segment(longer, made.locate(longer))
    assert second["sagittal"].asked == asked * (5 + 2)


def test_each_round_sees_the_probabilities_and_the_mask_of_the_one_before(monkeypatch):
    made, seen = cascade(views=("axial",), agreement=1.0, rounds=3).eval(), []
    answers = [torch.full((4, 4, 4), value) for value in (0.6, 0.7, 0.8)]
    for number, answer in enumerate(answers):
        answer[number] = 0.2

    def round_of(image, probabilities, mask, view):
        seen.append((probabilities, mask))
        return answers[len(seen) - 1]

    monkeypatch.setattr(made, "_one_round", round_of)
    start = torch.full((4, 4, 4), 0.9)
    vote = made._rounds(torch.zeros(4, 4, 4), start, start >= 0.5)
    given = [probabilities for probabilities, _ in seen]
    assert torch.equal(given[0], start)
    for place in (1, 2):
        assert torch.equal(given[place] >= 0.5, answers[place - 1] >= 0.5)
        assert torch.equal(seen[place][1], answers[place - 1] >= 0.5)
    assert torch.equal(vote >= 0.5, answers[2] >= 0.5)


@pytest.mark.parametrize(("probability", "inside"), [(0.4999, False), (0.5, True)])
def test_a_mask_is_what_is_likely_with_at_least_one_half(probability, inside):
    located = cascade()._hand_over(torch.full((1, 1, 4, 4, 4), probability))
    assert bool(located.mask.all()) == bool(located.mask.any()) == inside
    assert bool(located.boxes[0]) == inside


def test_nothing_found_stays_nothing():
    blind = {view: Bright(also=-10) for view in VIEWS}
    made = with_networks(cascade(target="tumour"), blind, blind)
    maps = made(volume_of_a_box())
    assert maps.shape == (1, 3, 14, 12, 10)
    assert torch.equal(maps[:, 0], torch.ones(1, 14, 12, 10))


def test_the_true_boxes_are_those_of_the_true_mask():
    made = cascade().eval()
    volume, truth = torch.rand(1, 1, 14, 12, 10), volume_of_a_box()
    located = made.locate(volume)
    bound = made.replace_rois(located, made.from_mask(volume, truth))
    assert torch.equal(bound.probabilities, located.probabilities)
    assert torch.equal(bound.mask, truth > 0)


# ── training ──


def gradients(made, phase):
    labels = (volume_of_a_box()[0] > 0).to(torch.uint8) * Label.PANCREAS
    generator, steps = torch.Generator().manual_seed(0), []
    for losses in made.losses(torch.rand(1, 1, 14, 12, 10), labels, phase=phase, generator=generator):
        made.zero_grad()
        losses[next(name for name in losses if phase == "first" or name.startswith("second"))].backward()
        touched = {name.split(".")[0] for name, p in made.named_parameters() if p.grad is not None and p.grad.any()}
        steps.append((tuple(losses), touched))
    return steps


@pytest.mark.parametrize(
    ("phase", "touched"),
    [("first", {"first"}), ("second", {"second"}), ("S", {"second"}), ("I", {"first", "saliency", "second"})],
)
def test_stage_two_teaches_stage_one_only_by_way_of_the_saliency(phase, touched):
    made = cascade(handover="saliency", slices_per_volume=1)
    for transformation in made.saliency.values():
        nn.init.normal_(transformation.second.weight)  # it starts at 0, without gradient to stage 1
    steps = gradients(made, phase)
    assert [names[-1].split("_")[1] for names, _ in steps] == list(VIEWS)
    assert all(found == touched for _, found in steps)


def test_every_slice_with_target_is_a_step_of_each_view_and_no_other_is():
    steps = gradients(cascade(), "first")
    assert [sum(names == (f"first_{view}",) for names, _ in steps) for view in VIEWS] == [4, 4, 5]
    together = gradients(cascade(windows_per_step=3), "first")
    assert [sum(names == (f"first_{view}",) for names, _ in together) for view in VIEWS] == [2, 2, 2]


def test_in_j_the_box_is_the_prediction_s_and_the_truth_s_where_that_is_empty():
    made = cascade(margins="fixed")
    generator, truth, first = torch.Generator(), torch.zeros(3, 20, 20), torch.zeros(3, 20, 20)
    truth[:, 5:8, 6:9] = 1
    first[2, 16, 17] = 0.45  # is in no mask
    assert made._training_box(truth, first, generator).slices == (slice(3, 10), slice(4, 11))
    first[1, 12, 13] = 0.5
    assert made._training_box(truth, first, generator).slices == (slice(10, 15), slice(11, 16))


def test_random_borders_vary_from_nothing_to_twice_as_wide_and_fixed_ones_do_not():
    truth, generator = torch.zeros(3, 40, 40), torch.Generator().manual_seed(0)
    truth[:, 15:20, 16:22] = 1
    seen = {}
    for margins in ("fixed", "random"):
        made = cascade(margins=margins)
        seen[margins] = {made._training_box(truth, None, generator) for _ in range(30)}
    assert seen["fixed"] == {Box((13, 14), (22, 24))}
    assert len(seen["random"]) > 5
    assert all(Box((11, 12), (24, 26)).contains(box) for box in seen["random"])


def test_where_both_stages_learn_the_first_one_s_loss_weighs_a_third_and_the_second_one_s_two_thirds():
    made = cascade(views=("axial",), margins="fixed").eval()
    labels = (volume_of_a_box()[0] > 0).to(torch.uint8) * Label.PANCREAS
    images = torch.rand(1, 1, 14, 12, 10, generator=torch.Generator().manual_seed(1))

    def losses(phase):
        with torch.no_grad():
            return next(made.losses(images, labels, phase=phase, generator=torch.Generator().manual_seed(0)))

    both = losses("S")
    assert float(both["first_axial"]) == pytest.approx(float(losses("first")["first_axial"]) / 3)
    assert float(both["second_axial"]) == pytest.approx(float(losses("second")["second_axial"]) * 2 / 3)


@pytest.mark.parametrize("options", [{"slices": 2}, {"views": ("axial", "axial")}, {"first": "focusing_net"}])
def test_settings_that_mean_nothing_are_refused(options):
    if "first" in options:
        options = {"first": NetworkSettings(name=options["first"])}
    with pytest.raises(ValueError, match=r"odd|twice|one map"):
        ThreeViewsSettings(**options)


def write_volumes(folder):
    random = np.random.default_rng(0)
    affine = np.diag([-4.0, -4.0, 6.0, 1.0])
    rows = ["image,label,patient,first_slice,last_slice"]
    for patient in range(2):
        hu = random.integers(0, 40, (20, 18, 9)).astype(np.int16)
        labels = np.zeros(hu.shape, np.uint8)
        labels[6:12, 5:11, 3:6] = Label.PANCREAS
        hu[labels > 0] += 150
        hu[:2] = -1000
        write_volume(Volume(hu, affine), folder / f"p{patient}.nii.gz")
        write_volume(Volume(labels, affine), folder / f"p{patient}_label.nii.gz")
        rows.append(f"p{patient}.nii.gz,p{patient}_label.nii.gz,p{patient},,")
    (folder / "volumes.csv").write_text("\n".join(rows) + "\n")
    return Volume(hu, affine), labels


def test_it_is_trained_taken_up_again_and_segments_a_whole_ct_however_its_axes_lie(tmp_path):
    scan, _ = write_volumes(tmp_path)
    tiny = {"name": "unet", "preset": "tiny"}
    recipe = {
        "name": "rstn",
        "cascade": {"kind": "three_views", "first": tiny, "second": tiny, "handover": "saliency", "margin": 3}
        | {"slices_per_volume": 2, "windows_per_step": 2, "rounds": 2},
        "canvas": {"kind": "volume"},
        "data": [{"reader": "volume_list", "folder": "volumes.csv"}],
        "optimiser": {"kind": "adam", "learning_rate": 0.02, "factors": {"second": 2, "saliency": 2}},
    }
    for phases in ([("S", 5)], [("S", 5), ("J", 1)]):
        text = yaml.safe_dump(recipe | {"phases": [{"name": name, "epochs": epochs} for name, epochs in phases]})
        (tmp_path / "rstn.yaml").write_text(text)
        run = fit(tmp_path / "rstn.yaml", tmp_path, out=tmp_path / "run", resume=len(phases) > 1)
    assert run.step == 6 * 2 * 3
    rates = {round(group["lr"], 4) for group in run.optimisers[0].param_groups}
    assert rates == {0.02, 0.04}
    tilted = scan.affine.copy()
    turn = np.deg2rad(9)
    tilted[:3, :3] = [
        [np.cos(turn), -np.sin(turn), 0],
        [np.sin(turn), np.cos(turn), 0],
        [0, 0, 1],
    ] @ scan.affine[:3, :3]
    model = str(tmp_path / "run" / "best.safetensors")
    oblique = Volume(scan.voxels, tilted)
    found = pancascade.segment(oblique, model=model)
    assert np.count_nonzero(found.mask.voxels)
    other = reorient(oblique, "SPR")
    again = pancascade.segment(other, model=model)
    assert np.array_equal(again.mask.affine, other.affine)
    assert np.array_equal(reorient(again.mask, "LPS").voxels, reorient(found.mask, "LPS").voxels)
    described = json.loads((tmp_path / "run" / "history.json").read_text())
    assert {name for epoch in described for name in epoch["losses"]} >= {"first_axial", "second_sagittal"}
