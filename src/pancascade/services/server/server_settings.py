"""Settings of the server."""

import ipaddress
import re
import secrets
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from pancascade.files.given_paths import real_path
from pancascade.segmentation.batch.batch_options import SegmentOptions
from pancascade.settings import Settings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_ORIGIN = re.compile(r"https?://[^/\s]+")

UNPACKED_TIMES = 4
"""Factor from the largest upload to the largest unpacked scan: CT is compressed to a half or a third."""


class ServerSettings(Settings):
    """Where the server listens, whom it answers, and what it accepts.

    Attributes:
        folder: Folder of all data; nobody else writes there.
        host: Address on which it listens.
        port: Port; 0 takes a free one.
        token: Token that every request must carry; None only for a loopback address.
        allowed_hosts: Names by which it may be called, besides its own and numeric addresses.
        allowed_origins: Origins of other web pages (``https://viewer.hospital.example``) that may use it.
        max_upload_mb: Largest upload, in 10⁶ bytes.
        workers: Number of processes, each with its own model.
        queue: Largest number of scans that wait or are being received.
        keep_hours: How long a job and its data are kept after its end; None until they are removed.
        corrections: Folder to which corrected results are copied with their scans, and kept when the job is removed.
            None keeps corrections only with the job.
        options: Options of the segmentation.
        studies: Folders of scans that MONAI Label's clients may open.
        train_with: Recipe for training on corrections; empty for none.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_upload_mb: float = Field(default=1000, gt=0, le=1_000_000)
    workers: int = Field(default=1, ge=1, le=64)
    queue: int = Field(default=32, ge=1, le=10_000)
    keep_hours: float | None = Field(default=24, gt=0)
    corrections: Path | None = None
    options: SegmentOptions = SegmentOptions()
    studies: tuple[Path, ...] = ()
    train_with: str = "qiu2024_corrections"

    @property
    def jobs(self) -> Path:
        """Folder of all jobs; its contents are removed with their job."""
        return self.folder / "jobs"

    @property
    def max_upload_bytes(self) -> int:
        """Largest upload, bytes."""
        return int(self.max_upload_mb * 1e6)

    @property
    def max_unpacked_bytes(self) -> int:
        """Largest unpacked size of a scan, bytes."""
        return UNPACKED_TIMES * self.max_upload_bytes

    @field_validator("token")
    @classmethod
    def _is_hard_to_guess(cls, token: str | None) -> str | None:
        if token is not None and (len(token) < SHORTEST_TOKEN or _TOKEN.fullmatch(token) is None):
            raise ValueError(
                f"a token needs {SHORTEST_TOKEN} or more letters and digits (and . _ ~ -); `new` makes one"
            )
        return token

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError("an origin is a scheme and a host, such as https://viewer.example")
        return tuple(origin.lower() for origin in origins)

    @model_validator(mode="after")
    def _keeps_corrections_elsewhere(self) -> "ServerSettings":
        if self.corrections is not None and real_path(self.corrections).is_relative_to(real_path(self.jobs)):
            raise ValueError("--corrections: is the folder of the jobs, which are removed; choose another one")
        return self

    @model_validator(mode="after")
    def _needs_a_token(self) -> "ServerSettings":
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                "a server that other computers can reach needs a token: give --token, or --token new for a fresh one"
            )
        return self


def is_loopback(host: str) -> bool:
    """Return whether only this computer can reach an address.

    Args:
        host: Name or address.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a secret that cannot be guessed."""
    return secrets.token_urlsafe(24)
