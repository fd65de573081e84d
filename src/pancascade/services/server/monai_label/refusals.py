"""Refuse requests with a status and one sentence, whatever application the routes are part of."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from pancascade.errors import PancascadeError
from pancascade.services.server.faults import RequestError, answerable, fault_answer, invalid_argument
from pancascade.services.server.uploads import cut_off, patience

_DAMAGED = RequestError(400, "The request's body cannot be read. Send it as multipart/form-data, or as JSON.")


def sentence_route(*, most_bytes: int) -> type[APIRoute]:
    """Return a class of routes that answer every error as ``{"detail": "<one sentence>"}`` and limit the body.

    Args:
        most_bytes: Largest body of a request.
    """

    class SentenceRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
            answer = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await answer(Request(request.scope, _Limited(request, most_bytes)))
                except (PancascadeError, OSError) as error:
                    fault = answerable(error)
                    if fault is None:
                        raise
                    return fault_answer(fault)
                except HTTPException as error:
                    if error.status_code != 400:
                        raise
                    # Errors while reading a body come wrapped, or in the library's words.
                    return fault_answer(answerable(error.__cause__) or _DAMAGED)
                except RequestValidationError as error:
                    return fault_answer(invalid_argument(error.errors()[0], page="corrections.md"))

            return handled

    return SentenceRoute


class _Limited:
    """Receives a request's body up to a limit.

    A slightly larger body is still read and dropped: a client that cannot send all of it would not read the answer.
    """

    def __init__(self, request: Request, most_bytes: int) -> None:
        self._receive: Any = request.receive
        self._left = self._most = most_bytes
        self._ended = False

    async def __call__(self) -> Message:
        message = await self._next()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        while message.get("more_body") and self._left > -self._most:
            message = await self._next()
            self._left -= len(message.get("body", b""))
        raise RequestError(413, f"The upload is larger than {self._most / 1e6:g} MB. Crop it, or raise the limit.")

    async def _next(self) -> Message:
        """Return the next part of the body. After its end there is no hurry: a client may wait for its answer."""
        try:
            async with nullcontext() if self._ended else patience():
                message: Message = await self._receive()
        except TimeoutError as error:
            raise cut_off() from error
        self._ended = not message.get("more_body")
        return message
