"""What is refused, as a status and one sentence, whatever application the routes are part of."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from pancascade.errors import PancascadeError

LONGEST = 200
"""Letters of a sentence."""


class RefusedError(PancascadeError):
    """A request that is not answered as it was meant.

    Args:
        status: Of HTTP.
        sentence: What is wrong, and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


_DAMAGED = RefusedError(400, "The request's body cannot be read. Send it as multipart/form-data, or as JSON.")


def sentence_route(*, most_bytes: int) -> type[APIRoute]:
    """A class of routes that answer every error as ``{"detail": "<one sentence>"}`` and take no larger body.

    Args:
        most_bytes: Of a request.
    """

    class SentenceRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            answer = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await answer(Request(request.scope, _Limited(request, most_bytes)))
                except PancascadeError as error:
                    # Errors of whoever includes the routes may have a status, too.
                    return refused(getattr(error, "status", 400), str(error))
                except HTTPException as error:
                    if error.status_code != 400:
                        raise
                    # What goes wrong while a body is read comes wrapped, or in words of the library.
                    told = error.__cause__ if isinstance(error.__cause__, RefusedError) else _DAMAGED
                    return refused(told.status, str(told))
                except RequestValidationError as error:
                    fault = error.errors()[0]
                    place = ".".join(str(part) for part in fault["loc"][1:]) or "the request"
                    return refused(400, f"{place[:60]}: {str(fault['msg'])[:100]}. See docs/corrections.md.")

            return handled

    return SentenceRoute


def refused(status: int, sentence: str) -> JSONResponse:
    """The answer."""
    return JSONResponse({"detail": sentence[:LONGEST]}, status)


class _Limited:
    """Receives a request's body as long as it is not too large.

    What is a little too large is still read, and dropped: a client that cannot send all of it does not read the answer.
    """

    def __init__(self, request: Request, most_bytes: int) -> None:
        self._receive: Any = request.receive
        self._left = self._most = most_bytes

    async def __call__(self) -> Message:
        message: Message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        while message.get("more_body") and self._left > -self._most:
            message = await self._receive()
            self._left -= len(message.get("body", b""))
        raise RefusedError(413, f"The upload is larger than {self._most / 1e6:g} MB. Crop it, or raise the limit.")
