"""ONNX Runtime, which sends nothing to its makers."""

import os
from types import ModuleType

_UNWANTED = "ORT_DISABLE_TELEMETRY"


def onnx_runtime() -> ModuleType:
    """Import ONNX Runtime without its usage statistics, unless the user's environment asks for them.

    Since version 1.32 they are on by default on every system: it keeps a data base in the user's cache folder and a
    mark in the folder for temporary files, and sends to the network.
    """
    # Read at the import, also by processes that are started later.
    wanted = os.environ.setdefault(_UNWANTED, "1") == "0"
    import onnxruntime

    if not wanted:
        onnxruntime.disable_telemetry_events()
    return onnxruntime
