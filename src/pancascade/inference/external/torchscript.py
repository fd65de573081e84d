"""Run a network in a TorchScript file, in patches."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pancascade.errors import UnknownModelError
from pancascade.imaging.volume import Volume
from pancascade.inference.external.network import network_faults_reported
from pancascade.inference.external.network_description import read_description
from pancascade.inference.external.sound_archives import require_sound
from pancascade.inference.external.tiles import run_in_tiles
from pancascade.labels import Label
from pancascade.messages.notices import Notice


def load_script(path: Path, device: str) -> torch.jit.ScriptModule:
    """Load the module of a TorchScript file, in evaluation mode.

    Raises:
        CheckpointError: The file is damaged, or no TorchScript.
    """
    require_sound(path, name=path.name)
    with network_faults_reported(path.name, "cannot be loaded as TorchScript"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
        return module.eval()


class TorchScriptNetwork:
    """See `pancascade.inference.external.network.ExternalNetwork`.

    The file needs a description of the same name beside it.
    """

    notices: tuple[Notice, ...] = ()

    def __init__(self, path: Path, *, device: str) -> None:
        self._name, self._device = path.name, device
        self._description = read_description(path)
        self.labels: tuple[Label, ...] = (
            (Label.PANCREAS, Label.TUMOUR) if self._description.labels.tumour else (Label.PANCREAS,)
        )
        self.runs_on = "TorchScript f32"
        self._module = load_script(path, device)

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """See `ExternalNetwork`."""
        with network_faults_reported(self._name, "fails on this scan"):
            return run_in_tiles(scan, self._predict, self._description, name=self._name)

    @torch.inference_mode()
    def _predict(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = self._module(torch.from_numpy(image).to(self._device))
        if isinstance(answer, list | tuple) and answer:
            answer = answer[0]
        if not isinstance(answer, torch.Tensor):
            raise UnknownModelError(f"{self._name}: returns no tensor but {type(answer).__name__}. Export it again.")
        found: NDArray[np.float32] = answer.float().cpu().numpy()
        return found
