"""Compiled networks kept on disk, so that a program that runs for one scan need not compile them again."""

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
"""Networks that are kept; of more, those that were used longest ago are deleted."""

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """``pancascade/openvino`` in the user's folder for such files (``XDG_CACHE_HOME``, or ``~/.cache``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pancascade" / "openvino"


def key_of(about: Sequence[object], options: Mapping[str, Any], *, device: str) -> str:
    """Digest of all that a compiled network depends on: the network, options, OpenVINO's version, the machine.

    Args:
        about: Of the network: its layers, weights and size of images, or digests of them.
        options: OpenVINO's.
        device: What OpenVINO calls the processor.
    """
    reported = [*about, sorted(options.items()), device, openvino.__version__]
    return hashlib.blake2b(repr(reported).encode(), digest_size=16).hexdigest()


def keep(key: str, compiled: openvino.CompiledModel, *, note: str = "") -> None:
    """Keep a compiled network; nothing where the folder cannot be written.

    Args:
        key: Of `key_of`.
        compiled: The network.
        note: What `kept` gives back beside it.
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
    """A compiled network and its note, if it was kept and can be used.

    Args:
        key: Of `key_of`.
        core: Of OpenVINO.
        options: OpenVINO's.
    """
    path = cache_folder() / f"{key}.blob"
    try:
        written, _, blob = path.read_bytes().partition(b"\n")
        header = parse_json(written)
        if header["digest"] != _digest(blob):  # OpenVINO may crash on a damaged one
            return None
        compiled = core.import_model(blob, "CPU", dict(options))
        path.touch()
        return compiled, str(header["note"])
    except (OSError, RuntimeError, ValueError, LookupError, TypeError):
        return None


def _digest(blob: bytes) -> str:
    return hashlib.blake2b(blob, digest_size=16).hexdigest()
