"""Parameters that clients send as JSON. They are kept and sent back, so they must be values that JSON can hold."""

import json
from typing import Annotated, Any

from fastapi import Body
from pydantic import AfterValidator

from pancascade.files.documents import DocumentError, parse_json, require_plain
from pancascade.services.server.faults import RequestError


def _plain(value: Any) -> Any:
    """Return a value that can be sent back as it came.

    Raises:
        DocumentError: It is nested too deeply, or has a text or a number that JSON cannot hold.
    """
    require_plain(value)
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise DocumentError("a text or a number in it is no JSON") from error
    return value


Params = Annotated[dict[str, Any] | None, Body(), AfterValidator(_plain)]
"""Body of a request; None without one."""


def asked_params(text: str) -> dict[str, Any]:
    """Return the mapping in a form's field ``params`` or ``info``.

    Raises:
        RequestError: The field holds no mapping.
    """
    try:
        params = _plain(parse_json(text or "{}"))
    except DocumentError as error:
        raise RequestError(400, f"params: {error}. Send a JSON object.") from error
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise RequestError(400, "params: not a JSON object. Send one, or leave it out.")
    return params
