"""Refuse requests with a status and one sentence, whatever application the routes are part of."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message

from pancascade.errors import PancascadeError
from pancascade.services.server.faults import RequestError, fault_answer

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
                except RequestError as error:
                    return fault_answer(error)
                except PancascadeError as error:
                    return fault_answer(RequestError(400, str(error)))
                except HTTPException as error:
                    if error.status_code != 400:
                        raise
                    # Errors while reading a body come wrapped, or in the library's words.
                    return fault_answer(error.__cause__ if isinstance(error.__cause__, RequestError) else _DAMAGED)
                except RequestValidationError as error:
                    fault = error.errors()[0]
                    place = ".".join(str(part) for part in fault["loc"][1:]) or "the request"
                    return fault_answer(
                        RequestError(400, f"{place[:60]}: {str(fault['msg'])[:100]}. See docs/corrections.md.")
                    )

            return handled

    return SentenceRoute


class _Limited:
    """Receives a request's body up to a limit.

    A slightly larger body is still read and dropped: a client that cannot send all of it would not read the answer.
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
        raise RequestError(413, f"The upload is larger than {self._most / 1e6:g} MB. Crop it, or raise the limit.")
