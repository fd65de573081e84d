"""The ASGI application: guard, routes, and the service behind them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pancascade.services.server.job_service import JobService
from pancascade.services.server.scan_process import Work
from pancascade.services.server.scan_work import segment_upload
from pancascade.services.server.server_settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app(settings: ServerSettings, *, work: Work = segment_upload) -> "FastAPI":
    """Make the server as an ASGI application.

    ``app.state.jobs`` is its `JobService`, ``app.state.settings`` its settings. The guard (host, origin, token) is in
    front of every route, also of routes added later. A `PancascadeError` is answered as JSON.

    Args:
        settings: Settings of the server.
        work: What a process does with a scan; a function of a module.
    """
    from fastapi import FastAPI

    from pancascade.services.server import job_routes, page_routes, result_routes, viewer_routes
    from pancascade.services.server.faults import add_fault_handlers
    from pancascade.services.server.guard import Guard
    from pancascade.services.server.labelling import add_labelling

    service = JobService(settings, work=work)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with service:
            yield

    # FastAPI's usual pages of documentation load scripts from other servers.
    app = FastAPI(title="pancascade", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.state.jobs = service
    for routes in (page_routes, job_routes, result_routes, viewer_routes):
        app.include_router(routes.router)
    add_labelling(app, settings, service)
    add_fault_handlers(app)
    app.add_middleware(Guard, settings=settings)
    return app
