"""Scans that a client sends to have them segmented, and that belong to no data set: gone after a while."""

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
    """Sessions by their ids. Safe to use from any thread.

    Args:
        folder: Where they are kept.
        now: Seconds, of any clock that goes on when the server is started again.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._lock = RLock()

    def add(self, sent: Path, *, expiry_s: int = 0) -> str:
        """Begin a session with a scan.

        Args:
            sent: File, archive or folder; not needed afterwards.
            expiry_s: For how long after its last use; 0 for an hour.

        Returns:
            Its id.

        Raises:
            ScanError: The scan cannot be read, or is no CT.
        """
        self.remove_old()
        session = f"session-{secrets.token_hex(16)}"
        try:
            volume = read_volume(sent)
        except ScanError as error:
            raise type(error)(str(error).replace(sent.name, "upload"), code=error.code) from error
        store(volume, self._folder / session / SCAN, name="upload")
        expiry_s = min(expiry_s, LONGEST_S) if expiry_s > 0 else EXPIRY_S
        self._write(session, {"create_ts": int(self._now()), "expiry": expiry_s})
        return session

    def info(self, session: str, *, touch: bool = False) -> dict[str, Any]:
        """What a client is told of a session.

        Args:
            session: Its id.
            touch: Whether its time begins anew.

        Raises:
            RequestError: There is none of that id any more.
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
        """Where a session's scan lies; its time begins anew.

        Raises:
            RequestError: There is none of that id any more.
        """
        self.info(session, touch=True)
        return self._folder / session

    def remove(self, session: str) -> None:
        """End a session; all of it is gone when this returns.

        Raises:
            RequestError: There is none of that id any more.
        """
        self.info(session)
        rmtree(self._folder / session, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove what has expired."""
        with self._lock:
            for path in self._folder.glob(f"*/{_RECORD}"):
                try:
                    reported = read_json(path)
                    over = self._now() > reported["last_access_ts"] + reported["expiry"]
                except (OSError, ValueError, KeyError, TypeError):  # damaged: nobody can use it
                    over = True
                if over:
                    rmtree(path.parent, ignore_errors=True)

    def _write(self, session: str, reported: dict[str, Any]) -> None:
        with written_whole(self._folder / session / _RECORD) as temporary:
            temporary.write_text(json.dumps({**reported, "last_access_ts": int(self._now())}))
