"""Jobs by REST: send a scan, read its progress, remove it."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from pancascade.services.server.job import ServerJob
from pancascade.services.server.job_service import JobService
from pancascade.services.server.upload_kinds import recognise, require_modest
from pancascade.services.server.uploads import receive_upload

router = APIRouter()

_RESULTS = {
    "view": "view/",
    "report": "report",
    "result": "result.json",
    "mask": "mask.nii.gz",
    "all": "result.zip",
}
"""Addresses of the parts of a result, below the job's own."""

_BEAT_S = 15
"""Seconds between signs of life in a stream: proxies close silent ones, and closed clients are noticed."""


def service_of(request: Request) -> JobService:
    """Return the service behind the application."""
    service: JobService = request.app.state.jobs
    return service


Service = Annotated[JobService, Depends(service_of)]


def job_description(job: ServerJob) -> dict[str, Any]:
    """Return a job in the form for clients, with links to its parts."""
    here = f"/jobs/{job.id}"
    links = {"self": here, "events": f"{here}/events"}
    if job.state == "done":
        links |= {name: f"{here}/{place}" for name, place in _RESULTS.items()}
    return {**job.model_dump(mode="json"), "name": job.name, "links": links}


@router.post("/jobs", status_code=202)
async def send(
    request: Request, service: Service, series: Annotated[str | None, Query(max_length=128)] = None
) -> JSONResponse:
    """Send a scan as ``multipart/form-data`` in the field ``file``; the answer is its job."""
    settings = service.settings
    with service.place() as folder:
        await receive_upload(request, folder.incoming, most_bytes=settings.max_upload_bytes)
        kind = await anyio.to_thread.run_sync(recognise, folder.incoming)
        upload = folder.incoming.rename(folder.upload(kind))
        await anyio.to_thread.run_sync(lambda: require_modest(upload, kind, most_bytes=settings.max_unpacked_bytes))
        job = service.submit(folder, kind, series=series or None)
    return JSONResponse(job_description(job), 202, headers={"Location": f"/jobs/{job.id}"})


@router.get("/jobs")
def jobs(service: Service) -> dict[str, Any]:
    """Return all jobs, the latest first."""
    return {"jobs": [job_description(job) for job in service.jobs.all()]}


@router.get("/jobs/{job_id}")
def one(job_id: str, service: Service) -> dict[str, Any]:
    """Return a job."""
    return job_description(service.jobs.get(job_id))


@router.delete("/jobs/{job_id}")
def remove(job_id: str, service: Service) -> dict[str, Any]:
    """Stop the work on a job and remove its data; all is removed when this is answered."""
    service.remove(job_id)
    return {"removed": job_id}


@router.get("/events")
async def all_events(service: Service) -> StreamingResponse:
    """Server-sent events ``jobs``: all jobs, at every change."""
    return _stream(service, lambda: ("jobs", {"jobs": [job_description(job) for job in service.jobs.all()]}, False))


@router.get("/jobs/{job_id}/events")
async def events(job_id: str, service: Service) -> StreamingResponse:
    """Server-sent events ``job``: the job at every change; the stream ends with the job, or with ``removed``."""
    service.jobs.get(job_id)

    def look() -> tuple[str, Any, bool]:
        if job_id not in service.jobs:
            return "removed", {"id": job_id}, True
        job = service.jobs.get(job_id)
        return "job", job_description(job), job.is_finished

    return _stream(service, look)


def _stream(service: JobService, look: Callable[[], tuple[str, Any, bool]]) -> StreamingResponse:
    """Return a stream of events; a look gives the event's name, its data, and whether it is the last one."""
    headers = {"X-Accel-Buffering": "no"}  # nginx would buffer them
    return StreamingResponse(_events(service, look), media_type="text/event-stream", headers=headers)


async def _events(service: JobService, look: Callable[[], tuple[str, Any, bool]]) -> AsyncIterator[str]:
    listener = service.jobs.changes.listen()  # here, since a stream whose client has gone is never begun nor ended
    reported = ""
    try:
        while True:
            name, data, last = look()
            event = f"event: {name}\ndata: {json.dumps(data)}\n\n"
            if event != reported:
                yield event
            reported = event
            if last or service.is_closing:
                return
            if not await listener.wait(_BEAT_S):
                yield ": still there\n\n"
    finally:
        listener.close()
