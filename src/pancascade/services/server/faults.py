"""Errors as answers of the server: a status, and one sentence as JSON."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from pancascade.errors import PancascadeError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import JSONResponse

LONGEST = 200
"""Longest sentence."""


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


def fault_answer(fault: RequestError) -> "JSONResponse":
    """Return an error as an answer."""
    from starlette.responses import JSONResponse

    return JSONResponse({"detail": str(fault)[:LONGEST]}, fault.status, headers=fault.headers)


def add_fault_handlers(app: "FastAPI") -> None:
    """Make the application answer every error of a route as ``{"detail": "<one sentence>"}``."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    @app.exception_handler(RequestError)
    async def _of_fault(_: Request, fault: RequestError) -> "JSONResponse":
        return fault_answer(fault)

    @app.exception_handler(PancascadeError)
    async def _of_error(_: Request, error: PancascadeError) -> "JSONResponse":
        return fault_answer(RequestError(400, str(error)))

    @app.exception_handler(HTTPException)
    async def _of_http(_: Request, error: HTTPException) -> "JSONResponse":
        return fault_answer(RequestError(error.status_code, sentence_of(error.status_code), headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _of_arguments(_: Request, error: RequestValidationError) -> "JSONResponse":
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"][1:]) or "the request"
        return fault_answer(RequestError(400, f"{place[:60]}: {fault['msg'][:100]}. See server.md."))
