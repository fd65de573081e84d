"""The router of all MONAI Label routes, with their check of the token."""

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form

from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.datastore_routes import datastore_routes
from pancascade.services.server.monai_label.infer_routes import infer_routes
from pancascade.services.server.monai_label.refusals import sentence_route
from pancascade.services.server.monai_label.service import MonaiLabel
from pancascade.services.server.monai_label.task_routes import task_routes

if TYPE_CHECKING:
    from fastapi.params import Depends

MOST_UPLOAD_BYTES = 1_000_000_000
OPEN_PATHS = ("/auth/", "/auth/token")
"""Addresses at which a client without a token learns how to get it."""


def monai_label_router(
    service: MonaiLabel,
    *,
    dependencies: "Sequence[Depends]" = (),
    token: str | None = None,
    most_upload_bytes: int = MOST_UPLOAD_BYTES,
) -> APIRouter:
    """Return the routes of MONAI Label's interface.

    Args:
        service: Service behind the routes.
        dependencies: Dependencies of all routes but `OPEN_PATHS`, such as the check of the token.
        token: Token of the server. Clients send it as a password with any user name, and then as a bearer token.
        most_upload_bytes: Largest body of a request.
    """
    kind = sentence_route(most_bytes=most_upload_bytes)
    router = APIRouter(route_class=kind)
    router.include_router(_auth_routes(kind, token))
    for routes in (datastore_routes, infer_routes, task_routes):
        router.include_router(routes(service, kind), dependencies=list(dependencies))
    checked = APIRouter(route_class=kind)

    @checked.get("/auth/token/valid")
    def valid() -> dict[str, Any]:
        return {"username": "reader", "roles": ["monai-label-user", "monai-label-annotator"]}

    router.include_router(checked, dependencies=list(dependencies))
    return router


def _auth_routes(kind: Any, token: str | None) -> APIRouter:
    router = APIRouter(route_class=kind)

    @router.get("/auth/")
    def enabled() -> dict[str, Any]:
        return {"enabled": token is not None, "client_id": "pancascade", "realm": ""}

    @router.post("/auth/token")
    def exchanged(password: Annotated[str, Form()]) -> dict[str, Any]:
        if token is None:
            return {"access_token": None, "token_type": None}
        if not hmac.compare_digest(password.encode(), token.encode()):
            raise RequestError(
                401, "The password is wrong. Give the server's token as the password, under any user name."
            )
        return {"access_token": token, "token_type": "Bearer"}

    return router
