"""Temporary scans that clients send for segmentation; they belong to no data set and expire."""

import json
import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from threading import RLock
from typing import Any

from pancascade.errors import ScanError
from pancascade.files.atomic import written_whole
from pancascade.files.documents import read_json
from pancascade.imaging.io import read_volume
from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.images import SCAN, store

EXPIRY_S = 3600
LONGEST_S = 24 * 3600
_RECORD = "session.json"
_ID = re.compile(r"session-[0-9a-f]{32}")


class Sessions:
    """Sessions by id. Safe to use from any thread.

    Args:
        folder: Folder of the sessions.
        now: Returns seconds of a clock that continues when the server is restarted.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._lock = RLock()

    def add(self, sent: Path, *, expiry_s: int = 0) -> str:
        """Begin a session with a scan.

        Args:
            sent: File, archive or folder; not needed afterwards.
            expiry_s: Seconds after its last use until it expires; 0 for an hour.

        Returns:
            The id of the session.

        Raises:
            ScanError: The scan cannot be read, or is no CT.
        """
        self.remove_old()
        session = f"session-{secrets.token_hex(16)}"
        try:
            volume = read_volume(sent)
        except ScanError as error:
            raise type(error)(str(error).replace(sent.name, "upload"), code=error.code) from error
        expiry_s = min(expiry_s, LONGEST_S) if expiry_s > 0 else EXPIRY_S
        try:
            store(volume, self._folder / session / SCAN, name="upload")
            self._write(session, {"create_ts": int(self._now()), "expiry": expiry_s})
        except BaseException:
            rmtree(self._folder / session, ignore_errors=True)
            raise
        return session

    def info(self, session: str, *, touch: bool = False) -> dict[str, Any]:
        """Return the information about a session for a client.

        Args:
            session: Id of the session.
            touch: Whether its time starts again.

        Raises:
            RequestError: There is no such session, or it has expired.
        """
        with self._lock:
            self.remove_old()
            path = self._folder / session / _RECORD
            if not _ID.fullmatch(session) or not path.is_file():
                raise RequestError(404, "There is no such session. It may have expired; send the scan again.")
            reported: dict[str, Any] = read_json(path)
            if touch:
                self._write(session, reported)
                reported = read_json(path)
        return {"name": session, "image": SCAN, "meta": {}, **reported}

    def folder(self, session: str) -> Path:
        """Return the folder of a session's scan; its time starts again.

        Raises:
            RequestError: There is no such session, or it has expired.
        """
        self.info(session, touch=True)
        return self._folder / session

    def remove(self, session: str) -> None:
        """End a session and remove its data.

        Raises:
            RequestError: There is no such session, or it has expired.
        """
        self.info(session)
        rmtree(self._folder / session, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove expired sessions."""
        with self._lock:
            for path in self._folder.glob(f"*/{_RECORD}"):
                try:
                    reported = read_json(path)
                    over = self._now() > reported["last_access_ts"] + reported["expiry"]
                except (OSError, ValueError, KeyError, TypeError):  # damaged, so it cannot be used
                    over = True
                if over:
                    rmtree(path.parent, ignore_errors=True)

    def drafts(self) -> list[Path]:
        """Return folders without a record: their session was being made when the server was killed, or is now."""
        return [path for path in self._folder.glob("session-*") if not (path / _RECORD).is_file()]

    def _write(self, session: str, reported: dict[str, Any]) -> None:
        with written_whole(self._folder / session / _RECORD) as temporary:
            temporary.write_text(json.dumps({**reported, "last_access_ts": int(self._now())}))
