"""A results folder of nnU-Net v2 with a tiny network of random weights, made by nnU-Net's own code."""

import contextlib
import inspect
import io
import json
from pathlib import Path

import numpy as np
import torch

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}
RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
PLANS = {
    "dataset_name": "Dataset001_Tiny",
    "plans_name": "nnUNetPlans",
    "original_median_spacing_after_transp": [4.5, 5.0, 3.5],
    "original_median_shape_after_transp": [16, 20, 24],
    "image_reader_writer": "NibabelIO",
    "transpose_forward": [1, 0, 2],
    "transpose_backward": [1, 0, 2],
    "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {
        "0": {"mean": 60.0, "std": 80.0, "percentile_00_5": -120.0, "percentile_99_5": 240.0}
    },
    "configurations": {
        "3d_fullres": {
            "data_identifier": "nnUNetPlans_3d_fullres",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [16, 16, 16],
            "median_image_size_in_voxels": [16, 20, 24],
            "spacing": [4.5, 5.0, 3.5],
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": RESAMPLING,
            "resampling_fn_seg_kwargs": RESAMPLING | {"is_seg": True},
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": RESAMPLING,
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [4, 6],
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
                    "strides": [[1, 1, 1], [2, 2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                    "dropout_op": None,
                    "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
            "batch_dice": False,
        }
    },
}


def write_folder(folder: Path, *, labels: dict | None = None, channels: dict | None = None, folds: int = 1, **plans):
    """The folder, with dataset.json, plans.json and a checkpoint a fold."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    content = {
        "channel_names": channels or {"0": "CT"},
        "labels": labels or LABELS,
        "numTraining": 1,
        "file_ending": ".nii",
    }
    if any(isinstance(value, list) for value in content["labels"].values()):
        content["regions_class_order"] = list(range(1, len(content["labels"])))
    plans = PLANS | plans
    manager = PlansManager(plans)
    configuration = manager.get_configuration("3d_fullres")
    build = nnUNetTrainer.build_network_architecture
    arguments = (
        (manager, configuration)
        if "plans_manager" in inspect.signature(build).parameters
        else (
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
        )
    )
    heads = manager.get_label_manager(content).num_segmentation_heads
    folder.mkdir(parents=True)
    for name, value in (("dataset.json", content), ("plans.json", plans)):
        (folder / name).write_text(json.dumps(value))
    for fold in range(folds):
        torch.manual_seed(fold)
        network = build(*arguments, 1, heads, enable_deep_supervision=False)
        with torch.no_grad():
            for weight in network.decoder.seg_layers.parameters():
                weight.mul_(4)
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": "3d_fullres", "plans": plans, "dataset_json": content, "fold": fold},
            "inference_allowed_mirroring_axes": (0, 2),
            "_best_ema": np.float64(0.5),
            "logging": {"ema_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.1)]]},
        }
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def own_probabilities(folder: Path, file: Path) -> np.ndarray:
    """All channels as nnU-Net's own reader and predictor give them for a file, (C, I, J, K)."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(folder), None)
        image, reported = predictor.plans_manager.image_reader_writer_class().read_images([str(file)])
        _, answer = predictor.predict_single_npy_array(image, reported, None, None, True)
    return np.asarray(answer).transpose(0, 3, 2, 1)
