"""Store studies that are being received, image by image, and decide whether they are complete or broken off.

Each association that sends a study has a marker beside the images until it is released. A killed node or a broken
connection leaves a marker without an association. Such a study waits for the rest; silence alone does not make it
complete.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from pancascade.files.atomic import written_whole

_MARKER = ".open-"


@dataclass
class _Study:
    """State of a study that is being received.

    Attributes:
        last_s: Time of its last image.
        live: Open associations that have sent some of it.
        before: For each association, markers of those broken off before; its release makes up for them.
    """

    last_s: float
    live: set[str] = field(default_factory=set)
    before: dict[str, set[str]] = field(default_factory=dict)


class Incoming:
    """The folder of studies that are being received. Its methods may be called by many threads.

    Args:
        folder: Made if it is missing. Studies in it wait again from now.
        clock: Returns seconds that never decrease.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock, self._lock = folder, clock, Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for half in folder.glob("*/.*"):  # an image that a killed node was writing
            if not half.name.startswith(_MARKER) and not half.is_dir():
                half.unlink()
        self._studies = {place.name: _Study(clock()) for place in folder.iterdir() if place.is_dir()}
        self._failed: set[str] = set()

    def store(self, study: str, instance: str, content: bytes, *, association: str) -> None:
        """Write an image to the disk; it is there when this returns.

        Args:
            study: Mark of the study.
            instance: Mark of the image; one of the same name is replaced.
            content: Content of the file.
            association: Association that sent it.

        Raises:
            OutputError: It cannot be written; the study then counts as broken off by this association.
        """
        with self._lock:
            under_way = self._studies.setdefault(study, _Study(self._clock()))
            if association not in under_way.before:
                under_way.before[association] = self._markers(study) - {_MARKER + name for name in under_way.live}
            under_way.live.add(association)
        marker = self._folder / study / f"{_MARKER}{association}"
        try:
            # The marker comes first, so that the first image of many never looks like a complete study.
            if not marker.exists():
                with written_whole(marker) as temporary:
                    temporary.touch()
            with written_whole(self._folder / study / f"{instance}.dcm") as temporary:
                temporary.write_bytes(content)
        except BaseException:
            self.failed(association)
            raise
        finally:
            with self._lock:
                under_way.last_s = self._clock()

    def failed(self, association: str) -> None:
        """Record that an image of an association was not stored: its release does not make its studies complete."""
        with self._lock:
            self._failed.add(association)

    def released(self, association: str) -> None:
        """Record a regular end of an association: what it sent, or sent again, is complete."""
        with self._lock:
            for study, under_way in self._studies.items():
                before = under_way.before.pop(association, None)
                if before is not None and association not in self._failed:
                    for name in before | {f"{_MARKER}{association}"}:
                        (self._folder / study / name).unlink(missing_ok=True)
            self._end(association)
            self._failed.discard(association)

    def ended(self, association: str) -> None:
        """Record that an association has ended, released or not."""
        with self._lock:
            self._end(association)

    def due(self, *, quiet_s: float, patience_s: float) -> list[tuple[str, bool]]:
        """Return the studies that have waited long enough, each with whether it is complete.

        Args:
            quiet_s: Waiting time of a completely received study.
            patience_s: Waiting time of a study that was broken off.
        """
        with self._lock:
            now = self._clock()
            return [
                (study, whole)
                for study, whole, due_s in self._due_times(quiet_s=quiet_s, patience_s=patience_s)
                if due_s <= now
            ]

    def next_due_s(self, *, quiet_s: float, patience_s: float) -> float | None:
        """Return the seconds until the next study is due, if nothing more comes; None without a study."""
        with self._lock:
            times = [due_s for *_, due_s in self._due_times(quiet_s=quiet_s, patience_s=patience_s)]
            return max(0.0, min(times) - self._clock()) if times else None

    def take(self, study: str, folder: Path) -> Path | None:
        """Move a study that is due to another folder, so that later images start a new one.

        Args:
            study: One of `due`.
            folder: Target folder.

        Returns:
            Its new folder, named by the study and a random mark; None if an association is sending more of it.
        """
        with self._lock:
            if self._studies[study].live:
                return None
            # Its markers go with it: a kill here must not make a broken-off study a whole one.
            target = folder / f"{study}-{secrets.token_hex(3)}"
            (self._folder / study).replace(target)
            del self._studies[study]
        return target

    @staticmethod
    def is_whole(study: Path) -> bool:
        """Whether a study that was taken was not broken off.

        Args:
            study: As `take` returned it.
        """
        return not any(study.glob(f"{_MARKER}*"))

    def _due_times(self, *, quiet_s: float, patience_s: float) -> list[tuple[str, bool, float]]:
        found = []
        for study, under_way in self._studies.items():
            if not under_way.live:
                whole = not self._markers(study)
                found.append((study, whole, under_way.last_s + (quiet_s if whole else max(quiet_s, patience_s))))
        return found

    def _end(self, association: str) -> None:
        for under_way in self._studies.values():
            if association in under_way.live:
                under_way.live.remove(association)
                under_way.last_s = self._clock()

    def _markers(self, study: str) -> set[str]:
        return {path.name for path in (self._folder / study).glob(f"{_MARKER}*")}
