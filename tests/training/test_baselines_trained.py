"""Networks of other papers in our cascades: trained, taken up again, exported, run on a whole CT."""

import numpy as np
import pytest
import yaml

import pancascade
from pancascade.checkpoint import load_checkpoint
from pancascade.export.model import export_model
from pancascade.inference.models import find_model
from pancascade.training import fit
from pancascade.volume import Volume

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
def test_a_network_of_ours_is_trained_resumed_exported_and_run_on_a_whole_ct(project, cascade, phase):
    run = two_steps(project, cascade, phase=phase)
    segmented(run)
    pytest.importorskip("openvino")
    made = export_model(find_model(str(run / "best.safetensors")), project / "out", file_format="openvino")
    assert all(network.largest_difference < 1e-3 for network in made.steps[0].networks)


def test_a_network_of_monai_is_stage_one_of_the_saliency_cascade(project):
    pytest.importorskip("monai", reason="MONAI is not installed (extra baselines)")
    cascade = coarse_to_fine({"name": "monai", "net": "UNet", "preset": "tiny"}, {"name": "unet", "preset": "tiny"})
    segmented(two_steps(project, {**cascade, "kind": "qiu2024"}, phase="J"))
