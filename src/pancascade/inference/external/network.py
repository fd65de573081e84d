"""What pancascade asks of a network that was trained elsewhere."""

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
    """A network of another program.

    Attributes:
        labels: What it finds.
        runs_on: What runs it, in words.
        notices: What a reader of its results should know.
    """

    labels: tuple[Label, ...]
    runs_on: str
    notices: tuple[Notice, ...]

    def probabilities(self, scan: Volume) -> NDArray[np.float32]:
        """Probabilities of pancreas (without tumour) and tumour, (2, I, J, K), on the scan's own grid.

        Args:
            scan: Hounsfield units, its axes as they are stored.
        """
        ...


def require_extra(module: str, *, extra: str, name: str, what: str) -> None:
    """Pass only if a library is there.

    Args:
        module: Its name.
        extra: Of pancascade, that installs it.
        name: Of the network, for the message.
        what: Kind of network, such as "an ONNX file".

    Raises:
        UnknownModelError: It is not installed.
    """
    if find_spec(module) is None:
        raise UnknownModelError(
            f"{shortened(name, _NAME)}: {what} needs {module}, which is not installed. Run: pip install "
            f'"pancascade[{extra}]"'
        )


@contextmanager
def network_faults_reported(name: str, doing: str) -> Iterator[None]:
    """Whatever somebody else's code raises becomes one sentence.

    Args:
        name: Of the network.
        doing: Such as "cannot be loaded".

    Raises:
        MemoryShortageError: There was too little memory.
        CheckpointError: Something else went wrong.
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
    """The maps themselves, kept in [0, 1], if all of them are numbers.

    Raises:
        CheckpointError: They hold NaN or infinity.
    """
    if not np.isfinite(maps).all():
        raise CheckpointError(
            f"{shortened(name, _NAME)}: answers NaN or infinity: its weights are damaged, or its input is not what it "
            "was trained with. Copy it again."
        )
    return np.clip(maps, 0, 1, out=maps)


def organ_parts(
    channels: NDArray[np.float32], *, pancreas: tuple[int, ...], tumour: tuple[int, ...], nested: bool
) -> NDArray[np.float32]:
    """Probabilities of pancreas (without tumour) and tumour, (2, *S), of all that a network tells.

    Args:
        channels: Probabilities, (C, *S).
        pancreas: Channels of the pancreas.
        tumour: Channels of tumour; none for a network that knows none.
        nested: Whether channels overlap, the pancreas with its tumour inside; else they exclude each other.
    """
    empty = np.zeros(channels.shape[1:], np.float32)
    if nested:
        organ = channels[list(pancreas)].max(axis=0)
        ill = channels[list(tumour)].max(axis=0) if tumour else empty
        return np.stack([np.maximum(organ - ill, 0), ill])
    return np.stack(
        [channels[list(part)].sum(axis=0, dtype=np.float32) if part else empty for part in (pancreas, tumour)]
    )
