"""Presets of the networks: published variants by name, ``small`` for ordinary computers, ``tiny`` for tests."""

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "dense_unet": {
        "paper": {},
        "tiny": {"blocks": (1, 1, 1, 1), "growth": 4, "stem": 8, "in_channels": 1, "widths": (8, 8, 4, 4, 4)},
    },
    "dsms_unet": {
        "paper": {},
        "kcmdrs": {"skips": "kcm"},
        "drs": {"skips": "plain"},
        "small": {"widths": (16, 32, 64, 96, 160)},
        "tiny": {"widths": (4, 4, 8, 8, 8)},
    },
    "efficient_unet": {"paper": {}, "fine": {"widths": (128, 64, 48, 32, 16)}, "tiny": {"widths": (8, 8, 4, 4)}},
    "fcn8s": {
        "paper": {},
        "three_slices": {"out_channels": 3},
        "small": {"widths": (16, 32, 64, 128, 128), "hidden": 256},
        "tiny": {"in_channels": 1, "widths": (4, 4, 4, 4, 4), "hidden": 8},
    },
    "focusing_net": {
        "paper": {},
        "encoder": {"source": "encoder"},
        "authors": {"source": "authors"},
        "small": {"widths": (8, 16, 32, 64), "centre": 64, "reduced": (64, 48, 32, 16, 8)},
        "tiny": {"widths": (4, 4, 8, 8), "centre": 8, "reduced": (8, 8, 8, 4, 4)},
    },
    "focusing_resnet": {
        "paper": {},
        "tiny": {"in_channels": 1, "base_width": 4, "reduced": (8, 8, 4, 4)},
    },
    "localization_net": {
        "paper": {},
        "fcn": {"basis": "fcn"},
        "small": {"in_channels": 1, "base_width": 16, "widths": (64, 48, 32)},
        "tiny": {"in_channels": 1, "base_width": 4, "widths": (8, 8, 8)},
    },
    "monai": {"paper": {}, "tiny": {}},
    "multiscale_unet": {
        "paper": {},
        "stan": {"widths": (32, 64, 128, 256)},
        "authors": {"skips": "authors", "up_sampling": "authors"},
        "small": {"widths": (16, 32, 64, 96), "centre": 96},
        "tiny": {"widths": (8, 16, 32, 64), "centre": 64},
    },
    "resnet_unet": {
        "paper": {},
        "fcn": {"basis": "fcn"},
        "resnet18": {"depth": 18},
        "resnet50": {"depth": 50},
        "small": {"in_channels": 1, "base_width": 16, "widths": (128, 64, 32, 16, 16)},
        "tiny": {"depth": 18, "in_channels": 1, "base_width": 4, "widths": (8, 8, 4, 4, 4)},
    },
    "saliency": {"paper": {}, "three_classes": {"channels": 3}},
    "unet": {
        "paper": {},
        "small": {"widths": (16, 32, 64, 128, 256)},
        "tiny": {"widths": (4, 4, 8, 8, 8)},
    },
    "unet3d": {
        "paper": {},
        "large": {"widths": (32, 64, 128, 256, 512)},
        "cicek": {"widths": (64, 128, 256, 512), "layout": "cicek"},
        "small": {"widths": (16, 32, 64, 128)},
        "tiny": {"widths": (4, 8, 16)},
    },
}
