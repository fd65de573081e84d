"""Keep compiled networks on disk, so that a program that segments one scan need not compile them again."""

import hashlib
import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openvino

from pancascade.errors import PancascadeError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import parse_json

KEPT = 24
"""Number of networks that are kept; beyond it, the least recently used ones are deleted."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return ``pancascade/openvino`` in the user's cache folder (``XDG_CACHE_HOME``, or ``~/.cache``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pancascade" / "openvino"


def key_of(about: Sequence[object], options: Mapping[str, Any], *, device: str) -> str:
    """Return a digest of all that a compiled network depends on: the network, options, OpenVINO's version, the machine.

    Args:
        about: The network: its layers, weights and image size, or digests of them.
        options: Options of OpenVINO.
        device: OpenVINO's name of the processor.
    """
    reported = [*about, sorted(options.items()), device, openvino.__version__]
    return hashlib.blake2b(repr(reported).encode(), digest_size=16).hexdigest()


def keep(key: str, compiled: openvino.CompiledModel, *, note: str = "") -> None:
    """Keep a compiled network on disk; do nothing if the folder cannot be written.

    Args:
        key: Key by `key_of`.
        compiled: The network.
        note: Text that `kept` returns with the network.
    """
    folder = cache_folder()
    try:
        stream = io.BytesIO()
        compiled.export_model(stream)
        blob = stream.getvalue()
        header = {"note": note, "digest": _digest(blob)}
        with written_whole(folder / f"{key}.blob") as temporary:
            temporary.write_bytes(json.dumps(header).encode() + b"\n" + blob)
        for old in sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
    except (PancascadeError, OSError, RuntimeError) as error:
        _log.info("Compiled networks are not kept in %s (%s).", folder, error)


def kept(key: str, core: openvino.Core, options: Mapping[str, Any]) -> tuple[openvino.CompiledModel, str] | None:
    """Return a compiled network and its note, or None if it is not kept or cannot be used.

    Args:
        key: Key by `key_of`.
        core: The OpenVINO core.
        options: Options of OpenVINO.
    """
    path = cache_folder() / f"{key}.blob"
    try:
        written, _, blob = path.read_bytes().partition(b"\n")
        header = parse_json(written)
        if header["digest"] != _digest(blob):  # OpenVINO may crash on a damaged file
            return None
        compiled = core.import_model(blob, "CPU", dict(options))
        path.touch()
        return compiled, str(header["note"])
    except (OSError, RuntimeError, ValueError, LookupError, TypeError):
        return None


def _digest(blob: bytes) -> str:
    return hashlib.blake2b(blob, digest_size=16).hexdigest()
