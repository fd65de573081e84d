"""``/info``, ``/infer``, ``/activelearning`` and ``/session``: masks, and the choice of the next image."""

import random
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Response, UploadFile

from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label import answers
from pancascade.services.server.monai_label.datastore_routes import received
from pancascade.services.server.monai_label.images import SCAN
from pancascade.services.server.monai_label.parameters import Params, asked_params
from pancascade.services.server.monai_label.service import MASK, MonaiLabel

Output = Literal["image", "json", "all", "dicom_seg"]


def infer_routes(service: MonaiLabel, kind: Any) -> APIRouter:
    """Return the routes for inference."""
    router = APIRouter(route_class=kind)

    @router.get("/info/")
    def info() -> dict[str, Any]:
        return answers.info(service)

    _add_infer(router, service)
    _add_next(router, service)
    _add_sessions(router, service)
    return router


def _add_infer(router: APIRouter, service: MonaiLabel) -> None:
    @router.post("/infer/{model}")
    def infer(
        model: str,
        image: str = "",
        session_id: str = "",
        params: Annotated[str, Form()] = "{}",
        file: UploadFile | None = None,
        output: Output = "all",
    ) -> Any:
        service.require_model(model)
        asked = asked_params(params)
        if output == "dicom_seg":
            raise RequestError(
                400, "output: DICOM-SEG is written by `pancascade segment --format dicom-seg`; request image here."
            )
        with service.place():
            if file is not None:
                with received(service, file) as sent:
                    session = service.sessions.add(sent)
                try:
                    return _answer(service.result_of_session(session), "upload", service, asked, output)
                finally:
                    service.sessions.remove(session)
            if session_id:
                return _answer(service.result_of_session(session_id), "session", service, asked, output)
            if not image:
                raise RequestError(400, "Neither image, nor session_id, nor a file was sent. Send one of them.")
            found = service.images.id_of(image)
            return _answer(service.result(found), found, service, asked, output)


def _answer(result: Path, name: str, service: MonaiLabel, asked: dict[str, Any], output: Output) -> Any:
    params = answers.inference_params(result, model=service.segmenter.model)
    if output == "json":
        return params
    content, ending = answers.encoded_mask(result / MASK, asked)
    if output == "image":
        return answers.file_answer(content, name, ending)
    return answers.mask_with_params(content, name, ending, params)


def _add_next(router: APIRouter, service: MonaiLabel) -> None:
    @router.post("/activelearning/{strategy}")
    def next_sample(strategy: str, params: Params = None) -> dict[str, Any]:
        if strategy not in answers.STRATEGIES:
            raise RequestError(404, f"There is no such strategy; there are {' and '.join(answers.STRATEGIES)}.")
        images = service.images
        left = [image for image in images.ids() if service.newest(image) is None]
        if not left:
            return {}
        image = left[0] if strategy == "first" else random.choice(left)
        with images.lock_of(image):
            checksum = answers.checksum(images.scan(image))
        asked = (params or {}).get("client_id")
        reported = {strategy: {"ts": int(time.time()), "client_id": asked if isinstance(asked, str) else None}}
        return {"id": image, "checksum": checksum, **answers.image_info(service, image), "strategy": reported}


def _add_sessions(router: APIRouter, service: MonaiLabel) -> None:
    sessions = service.sessions

    @router.put("/session/")
    def begin(files: list[UploadFile], expiry: int = 0) -> dict[str, Any]:
        with received(service, *files) as sent:
            session = sessions.add(sent, expiry_s=expiry)
        return {"session_id": session, "session_info": sessions.info(session)}

    @router.get("/session/{session_id}")
    def reported(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
        if image:
            scan = sessions.folder(session_id) / SCAN
            return Response(scan.read_bytes(), media_type="application/gzip")
        return sessions.info(session_id, touch=update_ts)

    @router.delete("/session/{session_id}")
    def end(session_id: str) -> dict[str, Any]:
        info = sessions.info(session_id)
        sessions.remove(session_id)
        return info
