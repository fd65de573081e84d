"""Run a MONAI bundle with its own preprocessing and inferer."""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.data.readers.label_names import structures_of
from pancascade.errors import UnknownModelError, listed
from pancascade.files.documents import read_json, reason, shortened
from pancascade.imaging.volume import Volume
from pancascade.inference.external.network import network_faults_reported, organ_parts, require_extra, require_finite
from pancascade.inference.external.sound_archives import require_sound
from pancascade.inference.external.torchscript import load_script
from pancascade.labels import Label
from pancascade.messages.notices import Notice

CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
NETWORKS = ("network_def", "network")


class MonaiBundleNetwork:
    """See `pancascade.inference.external.network.ExternalNetwork`.

    Preprocessing and inferer are the bundle's; the scan replaces the file that it loads. ``channel_def`` in
    ``metadata.json`` gives the output channels.
    """

    def __init__(self, folder: Path, *, device: str) -> None:
        self._name, self._device = folder.name, device
        config = next((path for name in CONFIGS if (path := folder / "configs" / name).is_file()), None)
        weights = next(
            (path for name in ("model.pt", "model.ts") if (path := folder / "models" / name).is_file()), None
        )
        if config is None or weights is None:
            missing = "models/model.pt" if config is not None else "configs/inference.json"
            raise UnknownModelError(
                f"{shortened(self._name, 60)}: a MONAI bundle needs {missing}. Give the whole bundle."
            )
        self._pancreas, self._tumour = _channels(folder / "configs" / "metadata.json", self._name)
        self.labels: tuple[Label, ...] = (Label.PANCREAS, Label.TUMOUR) if self._tumour else (Label.PANCREAS,)
        require_extra("monai", extra="baselines", name=self._name, what="a MONAI bundle")
        with network_faults_reported(self._name, "cannot be loaded as a bundle"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._load(folder, config, weights)
        self.runs_on = "MONAI bundle"
        sentence = (
            f"The configuration of {shortened(self._name, 60)} is a program that was run: use a bundle only from "
            "people you trust."
        )
        self.notices: tuple[Notice, ...] = (
            Notice(code="network_trusted", severity="information", about="location", sentence=sentence),
        )

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """See `ExternalNetwork`."""
        with (
            network_faults_reported(self._name, "fails on this scan"),
            warnings.catch_warnings(),
            torch.inference_mode(),
        ):
            warnings.simplefilter("ignore")
            channels = self._answer(scan)
        if channels.shape[1:] != scan.shape:
            raise UnknownModelError(
                f"{shortened(self._name, 60)}: its output has the shape {channels.shape[1:]}, not the scan's "
                f"{scan.shape}. Its preprocessing cannot be inverted."
            )
        if max(*self._pancreas, *self._tumour, 0) >= len(channels):
            raise UnknownModelError(
                f"{shortened(self._name, 60)}: returns {len(channels)} channels, fewer than its metadata names."
                " Copy it again."
            )
        maps = organ_parts(channels, pancreas=self._pancreas, tumour=self._tumour, nested=self._activation == "sigmoid")
        return require_finite(maps, name=self._name)

    def _load(self, folder: Path, config: Path, weights: Path) -> None:
        from monai.bundle import ConfigParser
        from monai.transforms import Compose

        parser = ConfigParser()
        parser.read_config(str(config))
        parser["bundle_root"] = str(folder)
        parser["device"] = torch.device(self._device)
        steps = parser.get_parsed_content("preprocessing")
        self._steps = Compose([_without_loading(one) for one in getattr(steps, "transforms", [steps])])
        self._inferer = parser.get_parsed_content("inferer")
        self._activation = _activation(parser.get("postprocessing"))
        if weights.suffix == ".ts":
            self._network: Any = load_script(weights, self._device)
            return
        key = next(name for name in NETWORKS if parser.get(name) is not None)
        require_sound(weights, name=self._name)
        state = torch.load(weights, map_location="cpu", weights_only=True)
        network = parser.get_parsed_content(key)
        network.load_state_dict(state.get("model", state) if isinstance(state, Mapping) else state)
        self._network = network.to(self._device).eval()

    def _answer(self, scan: Volume) -> NDArray[np.float32]:
        """Return probabilities of all channels on the scan's grid, (C, I, J, K)."""
        from monai.data import MetaTensor
        from monai.transforms import Invertd

        voxels = torch.from_numpy(np.ascontiguousarray(scan.voxels, dtype=np.float32))
        meta = {"original_channel_dim": float("nan"), "spatial_shape": np.array(scan.shape), "space": "RAS"}
        image = MetaTensor(voxels, affine=torch.from_numpy(scan.affine.copy()), meta=meta)
        shown = self._steps({"image": image})
        if shown["image"].ndim != 4 or shown["image"].shape[0] != 1:
            raise UnknownModelError(
                f"{shortened(self._name, 60)}: its preprocessing gives {tuple(shown['image'].shape)}, not one channel "
                "of CT. Give a bundle for CT scans."
            )
        answer = self._inferer(shown["image"][None].to(self._device), self._network)
        shown["pred"] = MetaTensor(
            _activated(answer[0].float().cpu(), self._activation), meta=dict(shown["image"].meta)
        )
        back = Invertd(keys="pred", transform=self._steps, orig_keys="image", nearest_interp=False, to_tensor=True)(
            shown
        )["pred"]
        found: NDArray[np.float32] = np.asarray(back, np.float32)
        return found


def _without_loading(transform: Any) -> Any:
    """Return a step of the preprocessing; a step that reads a file is replaced by one that passes the scan."""
    from monai.transforms import EnsureChannelFirst, LoadImaged

    if not isinstance(transform, LoadImaged):
        return transform
    with_channel = getattr(transform._loader, "ensure_channel_first", False)

    def loaded(data: dict[str, Any]) -> dict[str, Any]:
        image = data["image"]
        return {**data, "image": EnsureChannelFirst()(image) if with_channel else image}

    step: Callable[[dict[str, Any]], dict[str, Any]] = loaded
    return step


def _activation(postprocessing: Any) -> str:
    """Return softmax or sigmoid, as in the bundle's postprocessing; softmax if it has neither."""
    for step in (postprocessing or {}).get("transforms", []):
        if isinstance(step, Mapping) and str(step.get("_target_", "")).split(".")[-1].startswith("Activations"):
            return "sigmoid" if step.get("sigmoid") else "softmax"
    return "softmax"


def _activated(answer: torch.Tensor, activation: str) -> torch.Tensor:
    return torch.sigmoid(answer) if activation == "sigmoid" else torch.softmax(answer, dim=0)


def _channels(path: Path, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the channels of pancreas and tumour from the bundle's metadata.

    Raises:
        UnknownModelError: The metadata are missing or damaged, need several images or channels, or name no pancreas.
    """
    short = shortened(name, 60)
    try:
        formats = read_json(path)["network_data_format"]
        inputs, (answer, *_) = formats["inputs"], formats["outputs"].values()
        count = sum(int(one["num_channels"]) for one in inputs.values())
        names = {int(value): re.sub(r"\s+", " ", str(one)) for value, one in answer["channel_def"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise UnknownModelError(
            f"{short}: its metadata.json gives no channels of input and output ({shortened(reason(error), 50)}). "
            "Give the whole bundle."
        ) from error
    if count != 1:
        raise UnknownModelError(f"{short}: needs {count} channels; a scan has one, CT. Give a bundle for CT alone.")
    kinds = structures_of(names)
    pancreas, tumour = (
        tuple(sorted(value for value, kind in kinds.items() if kind.label is label))
        for label in (Label.PANCREAS, Label.TUMOUR)
    )
    if not pancreas:
        raise UnknownModelError(
            f"{short}: none of its channels is a pancreas ({listed([shortened(one, 20) for one in names.values()])}). "
            "Give a network that segments one."
        )
    return pancreas, tumour
