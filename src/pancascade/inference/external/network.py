"""The protocol of a network that another program trained, and checks of its output."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import CheckpointError, MemoryShortageError, PancascadeError, UnknownModelError
from pancascade.execution.memory_shortage import is_memory_shortage
from pancascade.files.documents import reason, shortened
from pancascade.imaging.volume import Volume
from pancascade.labels import Label
from pancascade.messages.notices import Notice

_NAME = 60
_REASON = 70


class ExternalNetwork(Protocol):
    """Load a network of another program.

    Attributes:
        labels: Labels that it segments.
        runs_on: What runs it, in words.
        notices: Notices for readers of its results.
    """

    labels: tuple[Label, ...]
    runs_on: str
    notices: tuple[Notice, ...]

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """Return probabilities of pancreas (without tumour) and tumour, (2, I, J, K), on the scan's own grid.

        Args:
            scan: Hounsfield units, with the axes of the stored file.
        """
        ...


def require_extra(module: str, *, extra: str, name: str, what: str) -> None:
    """Refuse a network whose library is not installed.

    Args:
        module: Name of the library.
        extra: Extra of pancascade that installs it.
        name: Name of the network, for the message.
        what: Kind of network, such as "an ONNX file".

    Raises:
        UnknownModelError: The library is not installed.
    """
    if find_spec(module) is None:
        raise UnknownModelError(
            f"{shortened(name, _NAME)}: {what} needs {module}, which is not installed. Run: pip install "
            f'"pancascade[{extra}]"'
        )


@contextmanager
def network_faults_reported(name: str, doing: str) -> Iterator[None]:
    """Turn every error of another program's code into one sentence.

    Args:
        name: Name of the network.
        doing: What failed, such as "cannot be loaded".

    Raises:
        MemoryShortageError: There was too little memory.
        CheckpointError: Another error.
    """
    try:
        yield
    except PancascadeError:
        raise
    except Exception as error:
        short = shortened(name, _NAME)
        if is_memory_shortage(error) or "allocate" in str(error).lower():
            raise MemoryShortageError(
                f"{short}: there is not enough memory for this network on this scan. Crop the scan, or use a smaller "
                "patch."
            ) from error
        why = shortened(f"{type(error).__name__}: {reason(error)}", _REASON)
        raise CheckpointError(f"{short}: {doing} ({why}). Check it with the program that made it.") from error


def require_finite(maps: NDArray[np.float32], *, name: str) -> NDArray[np.float32]:
    """Return the maps clipped to [0, 1], and refuse NaN and infinity.

    Raises:
        CheckpointError: They hold NaN or infinity.
    """
    if not np.isfinite(maps).all():
        raise CheckpointError(
            f"{shortened(name, _NAME)}: returns NaN or infinity: its weights are damaged, or its input differs from "
            "that of its training. Copy it again."
        )
    return np.clip(maps, 0, 1, out=maps)


def organ_parts(
    channels: NDArray[np.float32], *, pancreas: tuple[int, ...], tumour: tuple[int, ...], nested: bool
) -> NDArray[np.float32]:
    """Return probabilities of pancreas (without tumour) and tumour, (2, *S), from a network's channels.

    Args:
        channels: Probabilities, (C, *S).
        pancreas: Channels of the pancreas.
        tumour: Channels of tumour; empty for a network without tumour.
        nested: Whether the pancreas channel includes the tumour; else channels exclude each other.
    """
    empty = np.zeros(channels.shape[1:], np.float32)
    if nested:
        organ = channels[list(pancreas)].max(axis=0)
        ill = channels[list(tumour)].max(axis=0) if tumour else empty
        return np.stack([np.maximum(organ - ill, 0), ill])
    return np.stack(
        [channels[list(part)].sum(axis=0, dtype=np.float32) if part else empty for part in (pancreas, tumour)]
    )
