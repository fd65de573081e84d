"""A real results folder of nnU-Net v2, its weights random, as a step of a model."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed: pip install 'pancascade[nnunet]'")

from nnunet_folders import PLANS, own_probabilities, write_folder

from pancascade.errors import PancascadeError
from pancascade.imaging.io import read_volume
from pancascade.imaging.volume import reorient, restore
from pancascade.inference.external.kinds import kind_of, load_external
from pancascade.inference.localization.region_probabilities import FAINT
from pancascade.segmentation import segment

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),  # nnU-Net's own
]


def load(folder, **options):
    return load_external("nnunet", folder, device="cpu", **options)


def test_probabilities_are_those_of_its_own_predictor_for_the_file_as_it_is(file, tmp_path):
    folder = write_folder(tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    assert kind_of(folder) == "nnunet"
    network = load(folder)
    maps, own = network.probabilities(read_volume(file)), own_probabilities(folder, file)
    assert own.std() > 0.02
    assert np.abs(maps - own[1:]).max() < 1e-6
    assert network.notices == ()


def test_segment_gives_them_on_the_grid_of_the_file(file, tmp_path):
    folder = write_folder(tmp_path / "net")
    found = segment(file, model=str(folder), keep_doubtful=True)
    assert found.scan.on_same_grid_as(read_volume(file))
    own = own_probabilities(folder, file)
    off = np.abs(found.probabilities[1:] - own[1:]).max(axis=0)
    # Stored in steps of 0.001, and only where the organ is likelier than FAINT.
    assert off[own[1:].sum(axis=0) > FAINT + 0.001].max() < 0.0011
    assert found.runs_on == "nnU-Net"


def test_folds_are_averaged_as_nnunet_does(file, tmp_path):
    folder = write_folder(tmp_path / "net", folds=2)
    both = load(folder).probabilities(read_volume(file))
    assert np.abs(both - own_probabilities(folder, file)[1:]).max() < 1e-6


def test_regions_are_parted_into_pancreas_and_tumour(volume, tmp_path):
    folder = write_folder(tmp_path / "net", labels={"background": 0, "pancreas": [1, 2], "tumour": [2]})
    maps, own = load(folder).probabilities(volume), own_probabilities(folder, volume.source)
    assert np.abs(maps[1] - own[1]).max() < 1e-6
    assert np.abs(maps[0] - np.maximum(own[0] - own[1], 0)).max() < 1e-6


def test_an_orientation_that_is_asked_for_is_the_one_it_sees(volume, tmp_path):
    folder = write_folder(tmp_path / "net")
    turned = reorient(volume, "RAS")
    seen = load(folder, orientation="RAS").probabilities(volume)
    expected = load(folder).probabilities(turned)
    assert np.array_equal(seen[1], restore(turned.with_voxels(expected[1]), volume).voxels)


def test_a_checkpoint_that_runs_code_is_told(volume, tmp_path):
    folder = write_folder(tmp_path / "net")
    path = folder / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    torch.save(checkpoint | {"more": np.random.default_rng(0)}, path)
    (notice,) = load(folder).notices
    assert notice.code == "network_trusted"


def no_checkpoint(folder):
    (folder / "fold_0" / "checkpoint_final.pth").unlink()


def no_plans(folder):
    (folder / "plans.json").unlink()


def changed(name, value):
    def change(folder):
        content = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps(content | {name: value}))

    return change


def broken_json(folder):
    (folder / "plans.json").write_text("{")


def damaged(folder):
    (folder / "fold_0" / "checkpoint_final.pth").write_bytes(b"nothing")


def other_weights(folder):
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save(torch.load(path, weights_only=False) | {"network_weights": {"a": torch.zeros(1)}}, path)


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (no_checkpoint, "needs fold_0/checkpoint_final.pth"),
        (no_plans, "needs plans.json"),
        (changed("labels", {"background": 0, "liver": 1, "spleen": 2}), "no label is a pancreas"),
        (changed("channel_names", {"0": "MR", "1": "CT"}), "channels are MR, CT"),
        (changed("channel_names", {"0": "MR"}), "not CT"),
        (broken_json, "not readable JSON"),
        (damaged, "checkpoint cannot be read"),
        (other_weights, "cannot be loaded"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, spoil, fault):
    folder = write_folder(tmp_path / "net")
    spoil(folder)
    with pytest.raises(PancascadeError, match=fault) as refusal:
        load(folder)
    assert len(str(refusal.value)) <= 200
    assert str(tmp_path) not in str(refusal.value)


def test_the_second_stage_of_a_cascade_is_refused(tmp_path):
    configurations = {"3d_fullres": PLANS["configurations"]["3d_fullres"] | {"previous_stage": "3d_lowres"}}
    configurations["3d_lowres"] = PLANS["configurations"]["3d_fullres"] | {"next_stage": "3d_fullres"}
    folder = write_folder(tmp_path / "net", configurations=configurations)
    with pytest.raises(PancascadeError):
        load(folder)
