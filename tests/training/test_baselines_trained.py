"""Networks of other papers in our cascades: trained, taken up again, exported, run on a whole CT."""

import numpy as np
import pytest
import torch
import yaml

import pancascade
from pancascade.errors import RecipeError
from pancascade.imaging.preprocessing import VolumeGrid
from pancascade.imaging.volume import Volume
from pancascade.inference.export.model import export_model
from pancascade.inference.models.known_models import find_model
from pancascade.methods.cascades import Zhao2019Settings, build_cascade
from pancascade.methods.checkpoint import describe, load_checkpoint, save_checkpoint
from pancascade.methods.networks import NetworkSettings
from pancascade.training import fit

RECIPE = {
    "name": "baseline",
    "canvas": {"size": [32, 48], "spacing_mm": 8, "window": {"lower_hu": 0, "upper_hu": 255}},
    "data": [
        {
            "reader": "slice_folder",
            "folder": "slices",
            "split": "split.json",
            "window": {"lower_hu": 0, "upper_hu": 255},
            "validate_on": False,
        }
    ],
    "batch_size": 8,
    "optimiser": {"kind": "adam", "learning_rate": 0.01},
}
BY_MONAI = [
    ("AttentionUnet", "BasicUNetPlusPlus"),
    ("DiNTS", "DynUNet"),
    ("SegResNet", "UNet"),
    ("UNet", "FlexibleUNet"),
]


def coarse_to_fine(first, second):
    labels = {"first_labels": ["pancreas"], "second_labels": ["pancreas"]}
    return {"kind": "coarse_to_fine", "first": first, "second": second, "crop_size": [32, 32], **labels}


FCN_AND_RESNET = coarse_to_fine(
    {"name": "fcn8s", "preset": "tiny"}, {"name": "resnet_unet", "preset": "tiny", "options": {"depth": 50}}
)


def two_steps(project, cascade, *, phase="train"):
    """A run of one step, taken up for a second one; its folder."""
    recipe = project / "baseline.yaml"
    for epochs in (1, 2):
        phases = [{"name": phase, "epochs": epochs}]
        recipe.write_text(yaml.safe_dump({**RECIPE, "cascade": cascade, "phases": phases}))
        run = fit(recipe, project, out=project / "run", resume=epochs > 1)
    assert run.step == 2
    assert np.isfinite(run.history[-1]["losses"][next(iter(run.history[-1]["losses"]))])
    return project / "run"


def whole_ct():
    """A body of water with a bright organ in it, on a grid of other axes than ours."""
    hu = np.full((24, 22, 9), -1000, np.int16)
    hu[3:21, 3:19] = 40
    hu[9:14, 8:13, 3:6] = 200
    affine = np.array([[0, 9.0, 0, -90], [-9.5, 0, 0, 80], [0, 0, -12, 30], [0, 0, 0, 1]])
    return Volume(hu, affine)


def segmented(run):
    scan = whole_ct()
    found = pancascade.segment(scan, model=str(run / "best.safetensors"), backend="torch")
    assert found.mask.shape == scan.shape
    assert np.isfinite(found.probabilities).all()


@pytest.mark.parametrize(("first", "second"), BY_MONAI)
def test_networks_of_monai_are_trained_resumed_exported_and_run_on_a_whole_ct(project, first, second):
    pytest.importorskip("monai", reason="MONAI is not installed (extra baselines)")
    cascade = coarse_to_fine(*({"name": "monai", "net": net, "preset": "tiny"} for net in (first, second)))
    run = two_steps(project, cascade, phase="both")
    _, description = load_checkpoint(run / "best.safetensors")
    assert description.cascade.second.options["net"] == second
    segmented(run)
    pytest.importorskip("openvino")
    made = export_model(find_model(str(run / "best.safetensors")), project / "out", file_format="openvino")
    shapes = [network.input_shape for network in made.steps[0].networks]
    assert shapes == [("batch", 1, 32, 48), ("batch", 1, 32, 32)]


@pytest.mark.parametrize(
    ("cascade", "phase"),
    [
        ({"kind": "single_stage", "network": {"name": "dense_unet", "preset": "tiny"}}, "train"),
        (
            {
                "kind": "single_stage",
                "network": {"name": "focusing_resnet", "preset": "tiny", "options": {"depth": 18}},
                "loss": "structure",
            },
            "train",
        ),
        (FCN_AND_RESNET, "both"),
    ],
    ids=["DenseNet", "ResNet-50 that focuses", "FCN-8s and ResNet-50"],
)
def test_a_network_of_ours_is_trained_resumed_and_run_on_a_whole_ct(project, cascade, phase):
    """OpenVINO's answers are compared in tests/inference/backends/test_openvino_networks.py."""
    segmented(two_steps(project, cascade, phase=phase))


def test_a_network_of_monai_is_stage_one_of_the_saliency_cascade(project):
    pytest.importorskip("monai", reason="MONAI is not installed (extra baselines)")
    cascade = coarse_to_fine({"name": "monai", "net": "UNet", "preset": "tiny"}, {"name": "unet", "preset": "tiny"})
    segmented(two_steps(project, {**cascade, "kind": "qiu2024"}, phase="J"))


def in_3d(net, **options):
    return NetworkSettings(name="monai", preset="tiny", options={"net": net, "spatial_dims": 3, **options})


def test_in_3_d_networks_of_monai_are_both_stages_of_a_cascade_on_volumes(tmp_path):
    pytest.importorskip("monai", reason="MONAI is not installed (extra baselines)")
    settings = Zhao2019Settings(first=in_3d("UNet"), second=in_3d("DynUNet"), factor=2, margin=2)
    cascade = build_cascade(settings)
    images, labels = torch.rand(1, 1, 26, 22, 15), torch.zeros(1, 26, 22, 15, dtype=torch.uint8)
    labels[:, 8:16, 6:14, 4:10] = 1
    for phase in ("first", "second"):
        for losses in cascade.losses(images, labels, phase=phase, generator=torch.Generator()):
            sum(losses.values()).backward()
        assert all(parameter.grad is not None for parameter in getattr(cascade, phase).parameters())
    cascade.eval()
    path = tmp_path / "volumes.safetensors"
    save_checkpoint(path, cascade, description=describe(settings, VolumeGrid(kind="volume")))
    again, _ = load_checkpoint(path)
    with torch.inference_mode():
        assert torch.equal(again(images), cascade(images))
    with pytest.raises(RecipeError, match=r"cascade.second: zhao2019 needs a network for volumes"):
        build_cascade(settings.model_copy(update={"second": in_3d("UNet", spatial_dims=2)}))
