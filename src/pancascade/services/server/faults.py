"""Errors as answers of the server: a status, and one sentence as JSON."""

import errno
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pancascade.errors import OutputError, PancascadeError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import JSONResponse

LONGEST = 200
"""Longest sentence."""

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


class RequestError(PancascadeError):
    """A request cannot be answered as intended.

    Args:
        status: HTTP status.
        sentence: What is wrong, and what to do.
        headers: Headers of the answer.
    """

    def __init__(self, status: int, sentence: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers or {})


def sentence_of(status: int) -> str:
    """Return the default sentence of a status.

    Args:
        status: HTTP status.
    """
    known = {
        404: "There is nothing at this address. See server.md for the valid ones.",
        405: "This address does not accept that method. See server.md.",
        500: "Unexpected fault of the server. Try again, and report it.",
    }
    try:
        return known.get(status, f"{HTTPStatus(status).phrase}.")
    except ValueError:
        return f"Status {status}."


def disk_full() -> RequestError:
    """Return the error for a full disk."""
    return RequestError(507, "The server's disk is full or cannot be written. Inform the server's operator.")


def answerable(error: BaseException | None) -> RequestError | None:
    """Return an error of a route in the form for its client; None for a fault of the program.

    Args:
        error: Of any kind. What the operator can mend, such as a full disk, is no fault of the request.
    """
    if isinstance(error, RequestError):
        return error
    if isinstance(error, OSError | OutputError) and _is_unwritable(error):
        return disk_full()
    return RequestError(400, str(error)) if isinstance(error, PancascadeError) else None


def _is_unwritable(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error is not None and error.errno in _UNWRITABLE


def invalid_argument(fault: Mapping[str, Any], *, page: str) -> RequestError:
    """Return the error for an argument that cannot be used.

    Args:
        fault: One of pydantic's errors.
        page: Page of the documentation that describes the arguments.
    """
    place = ".".join(str(part) for part in fault["loc"][1:]) or "the request"
    what = str(fault["msg"]).removeprefix("Value error, ")
    if what.startswith("Expected UploadFile"):
        what = "no file was sent in this field"
    return RequestError(400, f"{place[:60]}: {what[:100]}. See {page}.")


def fault_answer(fault: RequestError) -> "JSONResponse":
    """Return an error as an answer."""
    from starlette.responses import JSONResponse

    return JSONResponse({"detail": str(fault)[:LONGEST]}, fault.status, headers=fault.headers)


def add_fault_handlers(app: "FastAPI") -> None:
    """Make the application answer every error of a route as ``{"detail": "<one sentence>"}``."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    @app.exception_handler(PancascadeError)
    @app.exception_handler(OSError)
    async def _of_error(_: Request, error: Exception) -> "JSONResponse":
        fault = answerable(error)
        if fault is None:
            raise error
        return fault_answer(fault)

    @app.exception_handler(HTTPException)
    async def _of_http(_: Request, error: HTTPException) -> "JSONResponse":
        return fault_answer(RequestError(error.status_code, sentence_of(error.status_code), headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _of_arguments(_: Request, error: RequestValidationError) -> "JSONResponse":
        return fault_answer(invalid_argument(error.errors()[0], page="server.md"))
