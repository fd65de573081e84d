"""Write a form's file to the disk as it arrives, with a limit that does not depend on the client's statements."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from pancascade.services.server.faults import RequestError, disk_full
from pancascade.services.viewer.content_length import announced_bytes

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks
    from starlette.requests import Request

FIELD = "file"
"""Name of the form's field."""

_FORM_BYTES = 65_536
"""Bytes for boundaries, and for other fields, which are ignored."""
_WRITTEN_BYTES = 1 << 20
_SILENCE_S = 60


async def receive_upload(request: "Request", target: Path, *, most_bytes: int, field: str = FIELD) -> None:
    """Write the only file of a ``multipart/form-data`` request.

    Args:
        request: Request with an unread body.
        target: File to write; a part of it may exist after an error.
        most_bytes: Largest size of the file.
        field: Name of its field.

    Raises:
        RequestError: Too large, no form, no file or several, cut off, silent for a minute, or the disk is full.
    """
    from python_multipart.multipart import parse_options_header

    _require_length(request.headers.get("content-length"), most_bytes)
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise RequestError(415, f"Send the scan as multipart/form-data in the field `{field}`; see server.md.")
    try:
        with target.open("xb") as file:
            form = _FileOfForm(boundary, field)
            received = 0
            async for chunk in patient_chunks(request.stream()):
                received += len(chunk)
                form.feed(chunk)
                if form.size > most_bytes or received > most_bytes + _FORM_BYTES:
                    raise _too_large(most_bytes)
                if len(form.pending) >= _WRITTEN_BYTES:
                    await asyncio.to_thread(file.write, form.take())
            form.close()
            await asyncio.to_thread(file.write, form.take())
    except OSError as error:
        raise disk_full() from error


class _FileOfForm:
    """Parses a form as it arrives.

    Attributes:
        pending: Content of the file that is not yet written.
        size: Size of the file so far.
    """

    def __init__(self, boundary: bytes, field: str) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self.pending = bytearray()
        self.size = 0
        self._field = field.encode()
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._inside, self._files, self._ended = False, 0, False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._headers.clear,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_part,
            "on_part_data": self._add,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:  # a boundary that is too long
            raise _damaged() from error

    def feed(self, chunk: bytes) -> None:
        """Parse more of the form."""
        from python_multipart.exceptions import FormParserError

        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _damaged() from error

    def take(self) -> bytes:
        """Return the content that is not written yet."""
        taken = bytes(self.pending)
        self.pending.clear()
        return taken

    def close(self) -> None:
        """Check that the form is complete."""
        if not self._ended:
            raise RequestError(400, "The upload was cut off. Send it again.")
        if not self._files:
            raise RequestError(400, f"There is no file in the field `{self._field.decode()}` of the form.")

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._inside = options.get(b"name") == self._field
        self._files += self._inside
        if self._files > 1:
            raise RequestError(400, "There are several files in the form. Send one scan at a time, DICOM as one zip.")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self.pending += data[start:end]
            self.size += end - start

    def _end_part(self) -> None:
        self._inside = False

    def _end(self) -> None:
        self._ended = True


async def patient_chunks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks of a body while they arrive.

    Raises:
        RequestError: The client has closed the connection, or sends nothing.
    """
    from starlette.requests import ClientDisconnect

    while True:
        try:
            async with patience():
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except (TimeoutError, ClientDisconnect) as error:
            raise cut_off() from error
        yield chunk


def patience() -> asyncio.Timeout:
    """Return a time limit for the next part of a body: a client that sends nothing more has gone."""
    return asyncio.timeout(_SILENCE_S)


def cut_off() -> RequestError:
    """Return the error for a client that has gone, or sends nothing more."""
    return RequestError(408, "The upload was cut off. Send it again.")


def _require_length(said: str | None, most_bytes: int) -> None:
    """Refuse an upload whose stated length is too large."""
    if (announced_bytes(said) or 0) > most_bytes + _FORM_BYTES:
        raise _too_large(most_bytes)


def _damaged() -> RequestError:
    return RequestError(400, "The form is damaged. Send it again.")


def _too_large(most_bytes: int) -> RequestError:
    return RequestError(413, f"The file is larger than {most_bytes / 1e6:g} MB, the most that this server takes.")
