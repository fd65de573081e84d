"""Run a results folder of nnU-Net v2 with nnU-Net's own predictor."""

import contextlib
import inspect
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.data.readers.label_names import structures_of
from pancascade.errors import CheckpointError, DataError, UnknownModelError, listed
from pancascade.files.documents import read_json, reason, shortened
from pancascade.imaging.volume import Volume, reorient, restore
from pancascade.inference.external.network import network_faults_reported, organ_parts, require_extra, require_finite
from pancascade.inference.external.sound_archives import require_sound
from pancascade.labels import Label
from pancascade.messages.notices import Notice

CHECKPOINT = "checkpoint_final.pth"


class NNUNetNetwork:
    """See `pancascade.inference.external.network.ExternalNetwork`.

    All folds are averaged, as in nnU-Net's own command.
    """

    def __init__(self, folder: Path, *, device: str, orientation: str | None = None) -> None:
        self._name, self._orientation = folder.name, orientation
        checkpoints = _checkpoints(folder)
        content = _read(folder / "dataset.json", self._name)
        plans = _read(folder / "plans.json", self._name)
        _require_one_ct(content, self._name)
        self._heads, self._nested = _heads(content, self._name)
        require_extra("nnunetv2", extra="nnunet", name=self._name, what="a results folder of nnU-Net")
        loaded = [_load(path, self._name) for path in checkpoints]
        with network_faults_reported(self._name, "cannot be loaded as nnU-Net"), _quiet():
            self._predictor = _predictor(plans, content, [one for one, _ in loaded], torch.device(device))
        if self._predictor.configuration_manager.previous_stage_name is not None:
            raise UnknownModelError(
                f"{self._name}: the second stage of an nnU-Net cascade needs the output of the first. Give the folder "
                "of 3d_fullres, 3d_lowres or 2d."
            )
        self._reader = str(plans.get("image_reader_writer", ""))
        tumour = self._heads[1]
        self.labels: tuple[Label, ...] = (Label.PANCREAS, Label.TUMOUR) if tumour else (Label.PANCREAS,)
        self.runs_on = "nnU-Net"
        self.notices = _trust_notices(self._name, safe=all(safe for _, safe in loaded))

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """See `ExternalNetwork`; returns nnU-Net's probabilities for the scan in a file with these axes."""
        orientation = self._orientation or ("RAS" if self._reader.endswith("WithReorient") else None)
        seen = scan if orientation is None else reorient(scan, orientation)
        # nnU-Net uses SimpleITK's axes: slices, rows, columns.
        image = np.ascontiguousarray(seen.voxels.transpose(2, 1, 0), dtype=np.float32)[None]
        threads = torch.get_num_threads()
        try:
            with network_faults_reported(self._name, "fails on this scan"), _quiet():
                properties = {"spacing": list(seen.spacing_mm[::-1])}
                _, answer = self._predictor.predict_single_npy_array(image, properties, None, None, True)
        finally:
            torch.set_num_threads(threads)
        pancreas, tumour = self._heads
        maps = organ_parts(
            np.asarray(answer, np.float32).transpose(0, 3, 2, 1), pancreas=pancreas, tumour=tumour, nested=self._nested
        )
        require_finite(maps, name=self._name)
        return np.stack([restore(seen.with_voxels(one), scan).voxels for one in maps])


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoint of each fold: the numbered folds or, without them, ``fold_all``, as in nnU-Net."""
    missing = [name for name in ("dataset.json", "plans.json") if not (folder / name).is_file()]
    found = sorted(folder.glob(f"fold_[0-9]*/{CHECKPOINT}")) or sorted(folder.glob(f"fold_all/{CHECKPOINT}"))
    if missing or not found:
        raise UnknownModelError(
            f"{shortened(folder.name, 60)}: a results folder of nnU-Net needs "
            f"{' and '.join(missing) or f'fold_0/{CHECKPOINT}'}. Give the folder that its training wrote."
        )
    return found


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UnknownModelError(
            f"{shortened(name, 60)}: its {path.name} is not readable JSON ({shortened(reason(error), 60)}). "
            "Copy it again."
        ) from error
    if not isinstance(content, dict):
        raise UnknownModelError(f"{shortened(name, 60)}: its {path.name} holds no JSON object. Copy it again.")
    return content


def _require_one_ct(content: Mapping[str, Any], name: str) -> None:
    from pancascade.data.readers.dataset_json import require_ct

    channels = content.get("channel_names") or content.get("modality")
    if not isinstance(channels, dict) or len(channels) != 1:
        reported = (
            listed([shortened(str(one), 20) for one in channels.values()]) if isinstance(channels, dict) else "none"
        )
        raise UnknownModelError(
            f"{shortened(name, 60)}: the network's channels are {reported}; a scan has one channel, CT. Give a network "
            "for CT alone."
        )
    try:
        require_ct(content, named=True)
    except DataError as error:
        raise UnknownModelError(f"{shortened(name, 60)}: {shortened(str(error), 130)}") from error


def _heads(content: Mapping[str, Any], name: str) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], bool]:
    """Return the output channels of pancreas and tumour, and whether they are overlapping regions.

    The channel of a label is its value, background first. Regions are channels in nnU-Net's order, without background.
    """
    labels = content.get("labels")
    if not isinstance(labels, dict) or not all(_is_label(value) for value in labels.values()):
        raise UnknownModelError(f"{shortened(name, 60)}: its dataset.json names no labels. Copy it again.")
    nested = any(isinstance(value, list) and len(value) > 1 for value in labels.values())
    if nested:
        foreground = [one for one, value in labels.items() if value not in (0, [0]) and one != "ignore"]
        names = dict(enumerate(foreground, start=1))
        shift = 1
    else:
        names = {int(value[0] if isinstance(value, list) else value): str(one) for one, value in labels.items()}
        names = {value: one for value, one in names.items() if one != "ignore"}
        shift = 0
    kinds = structures_of(names)
    pancreas, tumour = (
        tuple(sorted(value - shift for value, kind in kinds.items() if kind.label is label))
        for label in (Label.PANCREAS, Label.TUMOUR)
    )
    if not pancreas:
        raise UnknownModelError(
            f"{shortened(name, 60)}: no label is a pancreas ({listed([shortened(one, 20) for one in labels])}). "
            "Give a network that segments one."
        )
    return (pancreas, tumour), nested


def _is_label(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, int) for one in value)
    return isinstance(value, int)


def _load(path: Path, name: str) -> tuple[dict[str, Any], bool]:
    """Return a checkpoint, and whether it was read as data alone.

    A checkpoint of nnU-Net is a pickle. It is first read without running any code in it. If that fails, as with the
    training logs of some versions, it is read as nnU-Net reads it, which runs code in the file.
    """
    require_sound(path, name=name)
    try:
        with torch.serialization.safe_globals(_numbers()):
            checkpoint, safe = torch.load(path, map_location="cpu", weights_only=True), True
    except Exception:  # torch raises many kinds here
        with network_faults_reported(name, "its checkpoint cannot be read"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoint, safe = torch.load(path, map_location="cpu", weights_only=False), False
    needed = {"network_weights", "trainer_name", "init_args"}
    if not isinstance(checkpoint, dict) or not needed <= checkpoint.keys():
        raise CheckpointError(f"{shortened(name, 60)}: its {path.name} is no checkpoint of nnU-Net v2. Copy it again.")
    return checkpoint, safe


def _numbers() -> list[Any]:
    """Return NumPy's number types, which nnU-Net's logs contain."""
    kinds = [type(np.dtype(one)) for one in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    return [np._core.multiarray.scalar, np.dtype, *kinds]  # type: ignore[attr-defined]


def _predictor(
    plans: dict[str, Any], content: dict[str, Any], checkpoints: list[dict[str, Any]], device: torch.device
) -> Any:
    """Return nnU-Net's predictor with the networks of all folds, made as in its own method for folders."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager, first = PlansManager(plans), checkpoints[0]
    configuration = manager.get_configuration(first["init_args"]["configuration"])
    trainer = recursive_find_trainer_class_by_name(first["trainer_name"])
    inputs = determine_num_input_channels(manager, configuration, content)
    outputs = manager.get_label_manager(content).num_segmentation_heads
    if "plans_manager" in inspect.signature(trainer.build_network_architecture).parameters:
        arguments: tuple[Any, ...] = (manager, configuration)
    else:  # before 2.7
        arguments = (
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
        )
    network = trainer.build_network_architecture(*arguments, inputs, outputs, enable_deep_supervision=False)
    weights = [one["network_weights"] for one in checkpoints]
    network.load_state_dict(weights[0])
    predictor = nnUNetPredictor(perform_everything_on_device=device.type == "cuda", device=device, allow_tqdm=False)
    mirrored = first.get("inference_allowed_mirroring_axes")
    predictor.manual_initialization(network, manager, configuration, weights, content, first["trainer_name"], mirrored)
    return predictor


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence nnU-Net's messages about folders that are not set, and warnings that the user cannot act on."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _trust_notices(name: str, *, safe: bool) -> tuple[Notice, ...]:
    if safe:
        return ()
    sentence = (
        f"The checkpoint of {shortened(name, 60)} is a pickle that could only be read by running code in it: use such "
        "a folder only from people you trust."
    )
    return (Notice(code="network_trusted", about="location", sentence=sentence),)
