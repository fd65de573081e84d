"""A bundle of MONAI with a tiny network of random weights."""

import json

import torch

NETWORK = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2],
}  # fmt: skip
PREPROCESSING = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [4.0, 4.0, 4.0], "mode": "bilinear"},
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": -100,
        "a_max": 240,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
    {"_target_": "EnsureTyped", "keys": "image"},
]
POSTPROCESSING = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
     "nearest_interp": False, "to_tensor": True},
]  # fmt: skip


def write_bundle(folder, *, names=("background", "pancreas", "cancer"), channels=1, script=False):
    from monai.bundle import ConfigParser

    inference = {
        "bundle_root": ".",
        "network_def": NETWORK,
        "preprocessing": {"_target_": "Compose", "transforms": PREPROCESSING},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 1, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": POSTPROCESSING},
    }
    reported = {
        "inputs": {"image": {"type": "image", "num_channels": channels}},
        "outputs": {"pred": {"num_channels": 3, "channel_def": {str(n): one for n, one in enumerate(names)}}},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(inference))
    (folder / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": reported}))
    torch.manual_seed(0)
    network = ConfigParser({"net": NETWORK}).get_parsed_content("net").eval()
    if script:
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 16, 16, 16)), folder / "models" / "model.ts")
    else:
        torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder
