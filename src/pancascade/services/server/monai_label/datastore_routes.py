"""``/datastore``: list, send, fetch and remove images and labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Response, UploadFile
from fastapi.responses import FileResponse

from pancascade.errors import DataError
from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label import answers
from pancascade.services.server.monai_label.incoming import suffix_of
from pancascade.services.server.monai_label.parameters import asked_params
from pancascade.services.server.monai_label.service import FINAL, MonaiLabel
from pancascade.services.server.upload_kinds import named_by_kind

_AUTHOR = "MONAI Label"
_MOST_INFO = 20


@contextmanager
def received(service: MonaiLabel, *files: UploadFile) -> Iterator[Path]:
    """Store uploaded files under names of the server; they are removed when the block ends.

    Args:
        service: Service whose limit they must keep to.
        files: One file of any kind, or those of a DICOM series.

    Yields:
        The file, or the folder of several files.

    Raises:
        RequestError: A file is of no supported kind, or unpacks to more than the limit.
    """
    with TemporaryDirectory(prefix="pancascade-") as folder:
        paths = []
        for number, file in enumerate(files, start=1):
            path = Path(folder) / f"upload{number}"
            with path.open("wb") as kept:
                copyfileobj(file.file, kept)
            paths.append(named_by_kind(path, most_bytes=service.most_unpacked_bytes))
        yield paths[0] if len(paths) == 1 else Path(folder)


def datastore_routes(service: MonaiLabel, kind: Any) -> APIRouter:
    """Return the routes below ``/datastore``."""
    router = APIRouter(prefix="/datastore", route_class=kind)
    _add_list(router, service)
    _add_images(router, service)
    _add_labels(router, service)
    return router


def _add_list(router: APIRouter, service: MonaiLabel) -> None:
    @router.get("/")
    def datastore(output: Literal["train", "stats", "all"] = "stats") -> Any:
        if output == "all":
            return answers.everything(service)
        if output == "train":
            return [
                {"image": image, "label": image} for image in service.images.ids() if service.newest(image) is not None
            ]
        return answers.status(service)


def _add_images(router: APIRouter, service: MonaiLabel) -> None:
    images = service.images

    @router.put("/")
    @router.put("/image")
    def send(file: UploadFile, image: str | None = None) -> dict[str, str]:
        with received(service, file) as sent:
            return {"image": images.add(sent, name=image)}

    @router.delete("/")
    @router.delete("/image")
    def remove(id: str) -> dict[str, str]:
        with service.place():
            service.remove_image(images.id_of(id))
        return {}

    @router.get("/image")
    def fetch(image: str) -> Response:
        found = images.id_of(image)
        with images.lock_of(found):
            path = images.scan(found)
        return FileResponse(path, media_type="application/gzip", filename=f"{found}.nii.gz")

    @router.head("/image")
    def check(image: str, check_sum: str | None = None) -> Response:
        found = images.id_of(image)
        if check_sum is not None:
            algorithm, _, digest = check_sum.rpartition(":")
            with images.lock_of(found):
                known = answers.checksum(images.scan(found), algorithm or "SHA256")
            if known.rpartition(":")[2] != digest.lower():
                raise RequestError(404, "The image has another check sum.")
        return Response()

    @router.get("/image/info")
    def reported(image: str) -> dict[str, Any]:
        return answers.image_info(service, images.id_of(image))

    @router.put("/image/info")
    def set_info(image: str, info: Annotated[str, Form()] = "{}") -> dict[str, Any]:
        found, given = images.id_of(image), asked_params(info)
        if len({**images.info.get(found, {}), **given}) > _MOST_INFO:
            raise RequestError(400, f"info: at most {_MOST_INFO} entries are kept of an image.")
        images.info[found].update(given)
        return answers.image_info(service, found)


def _add_labels(router: APIRouter, service: MonaiLabel) -> None:
    images = service.images

    @router.put("/label")
    def save(label: UploadFile, image: str, tag: str = FINAL, params: Annotated[str, Form()] = "{}") -> dict[str, Any]:
        found, asked = images.id_of(image), asked_params(params)
        if (tag or FINAL) != FINAL:
            raise RequestError(400, f"Readers save labels under the tag {FINAL}; the other tag is the model's.")
        author = asked.get("author") or asked.get("client_id") or _AUTHOR
        if not isinstance(author, str):
            raise DataError("params: author must be a name.")
        with service.place():
            saved = service.save(found, label.file, suffix_of(label.filename), author=author, params=asked)
        return {"image": image, "label": image, "number": saved.number, "voxels": saved.record.voxels}

    @router.delete("/label")
    def remove(id: str, tag: str) -> dict[str, str]:
        service.remove_label(images.id_of(id), tag)
        return {}

    @router.get("/label")
    def fetch(label: str, tag: str) -> Response:
        found = images.id_of(label)
        path = service.label(found, tag)
        return FileResponse(path, media_type="application/gzip", filename=f"{found}.nii.gz")

    @router.head("/label")
    def check(image: str, tag: str) -> Response:
        service.label(images.id_of(image), tag)
        return Response()

    @router.get("/label/info")
    def reported(label: str, tag: str) -> dict[str, Any]:
        found = images.id_of(label)
        service.label(found, tag)
        info: dict[str, Any] = answers.labels_of(service, found)[tag]["info"]
        return info

    @router.put("/label/info")
    def set_label(label: str, tag: str) -> dict[str, Any]:
        return reported(label, tag)
