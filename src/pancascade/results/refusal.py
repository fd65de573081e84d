"""``refusal.json``: why a scan was not segmented, in a form for programs."""

import json
from datetime import UTC, datetime
from pathlib import Path

from pancascade.errors import ScanError
from pancascade.files.atomic import written_whole
from pancascade.messages.names_only import public_name

NAME = "refusal.json"


def write_refusal(error: ScanError, scan: Path, folder: Path) -> None:
    """Write code and sentence of a refusal; results of an earlier scan in the folder are not changed.

    Args:
        error: The refusal.
        scan: File of the scan.
        folder: Output folder.

    Raises:
        OutputError: The folder cannot be written.
    """
    refusal = {
        "scan": public_name(scan),
        "code": error.code,
        "sentence": str(error),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_whole(folder / NAME) as temporary:
        temporary.write_text(json.dumps(refusal, indent=2) + "\n")
