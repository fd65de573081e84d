"""Backends that run a cascade's networks on a CPU: OpenVINO, or torch with folded normalisations."""

import sys

# OpenVINO sends an event to its makers at every import, with an identifier that it keeps in ~/intel. Without this
# package, which is for nothing else, it does neither. It has to be missing before the first import of OpenVINO.
if "openvino" not in sys.modules:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
