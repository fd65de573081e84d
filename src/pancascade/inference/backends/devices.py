"""Find a device by name, if this machine has it."""

import torch

from pancascade.errors import PancascadeError
from pancascade.files.documents import shortened


def find_device(name: str) -> torch.device:
    """Return the device of that name.

    Args:
        name: ``cpu``, ``cuda``, one of several such as ``cuda:1``, or ``mps``.

    Raises:
        PancascadeError: There is no such kind of device, or this machine does not have it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _unusable(name, "known are cpu, cuda, cuda:1 and so on, mps") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise _unusable(name, f"this machine shows {count} CUDA devices to torch {torch.__version__}")
    elif device.type == "mps":
        if not torch.backends.mps.is_available() or device.index:
            raise _unusable(name, "this machine has no such device")
    elif device.type != "cpu":
        raise _unusable(name, "known are cpu, cuda, cuda:1 and so on, mps")
    return device


def _unusable(name: str, why: str) -> PancascadeError:
    return PancascadeError(f"Device {shortened(name, 40)!r} cannot be used ({why}). Try cpu.")
