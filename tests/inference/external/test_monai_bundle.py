"""A real bundle of MONAI, its weights random, and a TorchScript file, as steps of a model."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("monai", reason="MONAI is not installed: pip install 'pancascade[baselines]'")

from abdomen_phantom import abdomen
from monai_bundles import write_bundle

from pancascade.errors import PancascadeError
from pancascade.imaging.io import read_volume
from pancascade.inference.external.kinds import kind_of, load_external
from pancascade.segmentation import segment

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),  # MONAI's and TorchScript's own
]


def own_probabilities(folder, file) -> np.ndarray:
    """All channels as the bundle's own configuration gives them for a file, (C, I, J, K)."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(str(folder / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    shown = parser.get_parsed_content("preprocessing")({"image": str(file)})
    with torch.inference_mode():
        shown["pred"] = parser.get_parsed_content("inferer")(shown["image"][None], network)[0]
    return np.asarray(parser.get_parsed_content("postprocessing")(shown)["pred"])


def test_probabilities_are_those_of_the_bundle_s_own_configuration(file, tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    assert kind_of(folder) == "monai"
    network = load_external("monai", folder, device="cpu")
    maps, own = network.probabilities(read_volume(file)), own_probabilities(folder, file)
    assert own.std() > 0.02
    assert np.abs(maps - own[1:]).max() < 1e-5
    assert [notice.code for notice in network.notices] == ["network_trusted"]


def test_a_bundle_with_torchscript_answers_as_the_one_with_weights(volume, tmp_path):
    one, other = (write_bundle(tmp_path / str(script), script=script) for script in (False, True))
    weights, script = (load_external("monai", folder, device="cpu").probabilities(volume) for folder in (one, other))
    assert np.abs(weights - script).max() < 1e-5


def test_all_of_segment_stands_around_a_bundle(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    scan, _ = abdomen()
    found = segment(scan, model=str(folder))
    assert found.mask.on_same_grid_as(scan)
    assert (found.model, found.runs_on) == ("bundle", "MONAI bundle")
    assert "network_trusted" in {notice.code for notice in found.notices}


class Brightness(torch.nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), 9 * image - 4, 9 * image - 6], dim=1)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "bright.ts"
    torch.jit.save(torch.jit.trace(Brightness(), torch.zeros(1, 1, 8, 8, 8)), path)
    reported = {"clip_hu": [-100, 240], "patch": [16, 16, 16], "labels": {"pancreas": [1], "tumour": [2]}}
    path.with_suffix(".json").write_text(json.dumps(reported))
    return path


def test_a_torchscript_file_answers_as_its_module(volume, script):
    assert kind_of(script) == "torchscript"
    maps = load_external("torchscript", script, device="cpu").probabilities(volume)
    shown = torch.from_numpy(np.clip((volume.voxels.astype(np.float32) + 100) / 340, 0, 1))[None, None]
    own = torch.softmax(Brightness()(shown), dim=1)[0, 1:].numpy()
    assert np.abs(maps - own).max() < 1e-5


def no_weights(folder):
    (folder / "models" / "model.pt").unlink()


def no_metadata(folder):
    (folder / "configs" / "metadata.json").unlink()


def broken_config(folder):
    (folder / "configs" / "inference.json").write_text("{")


def unknown_transform(folder):
    path = folder / "configs" / "inference.json"
    path.write_text(path.read_text().replace("Spacingd", "Nonsensed"))


def damaged(folder):
    (folder / "models" / "model.pt").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (no_weights, "needs models/model.pt"),
        (no_metadata, "gives no channels"),
        (broken_config, "cannot be loaded"),
        (unknown_transform, "cannot be loaded"),
        (damaged, "cannot be loaded"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, spoil, fault):
    folder = write_bundle(tmp_path / "bundle")
    spoil(folder)
    with pytest.raises(PancascadeError, match=fault) as refusal:
        load_external("monai", folder, device="cpu")
    assert len(str(refusal.value)) <= 200
    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "fault"),
    [({"names": ("background", "liver", "spleen")}, "is a pancreas"), ({"channels": 2}, "needs 2 channels")],
)
def test_a_bundle_for_other_things_is_refused(tmp_path, options, fault):
    with pytest.raises(PancascadeError, match=fault) as refusal:
        load_external("monai", write_bundle(tmp_path / "bundle", **options), device="cpu")
    assert len(str(refusal.value)) <= 200
