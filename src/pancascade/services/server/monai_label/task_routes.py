"""``/train``, ``/batch/infer``, ``/scoring`` and ``/logs``: work in the background."""

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.parameters import Params
from pancascade.services.server.monai_label.service import MonaiLabel
from pancascade.services.server.monai_label.tasks import job_description
from pancascade.services.server.monai_label.training import BackgroundTraining

_TOLD = ("client_id",)


def task_routes(service: MonaiLabel, kind: Any) -> APIRouter:
    """Return the routes for work in the background."""
    router = APIRouter(route_class=kind)
    _add_training(router, service)
    _add_batches(router, service)

    @router.get("/scoring/")
    def scoring() -> Any:
        raise RequestError(404, "No scoring was started; this server has none.")

    @router.get("/logs/")
    def logs(lines: int = 300) -> PlainTextResponse:
        reported = [] if service.training is None else service.training.lines()
        kept = reported[-lines:] if lines > 0 else reported
        return PlainTextResponse("\n".join([*kept, ""]))

    return router


def _add_training(router: APIRouter, service: MonaiLabel) -> None:
    def training() -> BackgroundTraining:
        if service.training is None:
            raise RequestError(404, "This server does not train. Start it with a recipe to train on corrections.")
        return service.training

    @router.get("/train/")
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        return job_description(training().tasks, every=all, running=check_if_running, what="training")

    @router.post("/train/")
    def start_all(params: Params = None) -> dict[str, Any]:
        model = service.segmenter.model
        return {model: {"result": training().start(_request(model, params)).reported(), "detail": None}}

    @router.post("/train/{model}")
    def start(model: str, params: Params = None) -> dict[str, Any]:
        service.require_model(model)
        return training().start(_request(model, params)).reported()

    @router.delete("/train/")
    def stop() -> Any:
        stopped = training().stop()
        return None if stopped is None else stopped.reported()


def _add_batches(router: APIRouter, service: MonaiLabel) -> None:
    @router.get("/batch/infer")
    def status(all: bool = False, check_if_running: bool = False) -> Any:
        return job_description(service.batches.tasks, every=all, running=check_if_running, what="batch")

    @router.post("/batch/infer/{model}")
    def start(model: str, images: Literal["all", "labeled", "unlabeled"] = "all", params: Params = None) -> Any:
        service.require_model(model)
        chosen = [
            image
            for image in service.images.ids()
            if images == "all" or (service.newest(image) is not None) == (images == "labeled")
        ]
        request = {**_request(model, params), "images": images}
        return service.batches.start(chosen, service.result, request=request).reported()

    @router.delete("/batch/infer")
    def stop() -> Any:
        stopped = service.batches.stop()
        return None if stopped is None else stopped.reported()


def _request(model: str, params: dict[str, Any] | None) -> dict[str, Any]:
    """Return the part of a request that is kept; the options of a training are the server's own."""
    return {"model": model, **{key: value for key, value in (params or {}).items() if key in _TOLD}}
