"""``result.json``: the result for machines."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pancascade.io import written_whole
from pancascade.report.measurements import measure
from pancascade.volume import Volume


def write_result(
    mask: Volume,
    path: Path,
    *,
    model: str,
    scan: str,
    warnings: Sequence[str],
    times_s: Mapping[str, float],
    trained_on: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write measurements, model, versions, times and warnings as JSON.

    Args:
        mask: Labels on the scan's grid.
        path: Where.
        model: Name of the model.
        scan: Path of the scan, as given.
        warnings: Plain sentences.
        times_s: Seconds, by what was done.
        trained_on: Marks of the patients whom the model has learned from, by data set, so that an evaluation can tell.

    Raises:
        OutputError: The path cannot be written.
    """
    result = {
        "scan": scan,
        "model": model,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "use": "Research only. Not for clinical use.",
        "labels": {"0": "background", "1": "pancreas", "2": "tumour"},
        "measurements": measure(mask),
        "grid": {"shape": list(mask.shape), "affine": mask.affine.tolist()},
        "warnings": list(warnings),
        "times_s": dict(times_s),
        "trained_on": [dict(record) for record in trained_on],
        "versions": {name: version(name) for name in ("pancascade", "torch", "numpy", "nibabel")},
    }
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
