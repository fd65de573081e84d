"""Answers in MONAI Label's form: contents of the server, a mask with its numbers, files."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import Response

from pancascade.errors import UnreadableError
from pancascade.imaging.io import read_label_map, write_volume
from pancascade.labels import Label
from pancascade.results.corrections import read_segmented_scan
from pancascade.services.server.faults import RequestError
from pancascade.services.server.monai_label.service import FINAL, MASK, ORIGINAL, MonaiLabel

if TYPE_CHECKING:
    from pancascade.services.server.monai_label.segmenter import Segmenter

LABELS = {label.title: int(label) for label in Label if label}
STRATEGIES = {"first": "The first image without a correction", "random": "An image without a correction, at random"}
EXTENSIONS = (".nii.gz", ".nii", ".nrrd")
"""Suffixes of the masks that can be sent."""

_DTYPES = ("uint8", "uint16", "int16")
_MEDIA = {".nii.gz": "application/gzip", ".nii": "application/octet-stream", ".nrrd": "application/octet-stream"}


def info(service: MonaiLabel) -> dict[str, Any]:
    """Return what the server can do."""
    model, training = service.segmenter.model, service.training
    trainers = {} if training is None else {model: _trainer(service.segmenter, training.options.recipe)}
    return {
        "name": "pancascade",
        "description": "Pancreas and pancreatic tumours in CT. Research only. Not for clinical use.",
        "version": version("pancascade"),
        "labels": list(LABELS),
        "models": {
            model: {
                "type": "segmentation",
                "labels": LABELS,
                "dimension": 3,
                "description": service.segmenter.description,
                "config": {},
            }
        },
        "trainers": trainers,
        "strategies": {name: {"description": text} for name, text in STRATEGIES.items()},
        "scoring": {},
        "train_stats": {name: {} for name in trainers},
        "datastore": status(service),
        "config": {},
    }


def _trainer(segmenter: "Segmenter", recipe: str) -> dict[str, Any]:
    return {"description": f"Trains on corrections by {Path(recipe).stem}: {segmenter.model}", "config": {}}


def status(service: MonaiLabel) -> dict[str, Any]:
    """Return the number of images, and of those with results and corrections."""
    images = service.images.ids()
    final = sum(service.newest(image) is not None for image in images)
    original = sum(service.mask(image) is not None for image in images)
    tags = {tag: count for tag, count in ((ORIGINAL, original), (FINAL, final)) if count}
    return {"total": len(images), "completed": final, "label_tags": tags}


def everything(service: MonaiLabel) -> dict[str, Any]:
    """Return all images and their labels."""
    objects = {
        image: {"image": {"ext": ".nii.gz", "info": image_info(service, image)}, "labels": labels_of(service, image)}
        for image in service.images.ids()
    }
    return {"name": "pancascade", "description": "", "images_dir": "", "labels_dir": "", "objects": objects}


def labels_of(service: MonaiLabel, image: str) -> dict[str, Any]:
    """Return the labels of an image by tag."""
    found: dict[str, Any] = {}
    if service.mask(image) is not None:
        found[ORIGINAL] = {"ext": ".nii.gz", "info": {"model": service.segmenter.model}}
    newest = service.newest(image)
    if newest is not None:
        record = newest.record
        reported = {"author": record.author, "ts": int(record.saved.timestamp()), "number": newest.number}
        found[FINAL] = {"ext": ".nii.gz", "info": {**reported, "voxels": record.voxels}}
    return found


def image_info(service: MonaiLabel, image: str) -> dict[str, Any]:
    """Return the information about an image without reading it."""
    return {"name": f"{image}.nii.gz", **service.images.info.get(image, {})}


def checksum(path: Path, algorithm: str = "SHA256") -> str:
    """Return the digest of a file, in the form that 3D Slicer compares.

    Raises:
        RequestError: There is no such algorithm.
    """
    if algorithm.upper() not in ("SHA256", "SHA512", "MD5"):
        raise RequestError(400, "check_sum must begin with SHA256, SHA512 or MD5 and a colon.")
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm.lower()).hexdigest()}"


def inference_params(result: Path, *, model: str) -> dict[str, Any]:
    """Return the parameters of a mask: its labels, by which 3D Slicer names the segments in their order."""
    held = set(np.unique(read_label_map(result / MASK).voxels).tolist())
    return {
        "label_names": {name: value for name, value in LABELS.items() if value in held},
        "model": model,
        "scan_digest": read_segmented_scan(result).scan_digest,
        "use": "Research only. Not for clinical use.",
    }


def encoded_mask(mask: Path, params: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a mask in the requested format, and its suffix.

    Args:
        mask: NIfTI file.
        params: Parameters of the request: ``result_extension``, ``result_dtype``.

    Raises:
        RequestError: The format is not supported.
    """
    ending, dtype = params.get("result_extension", ".nii.gz"), params.get("result_dtype", "uint8")
    if ending not in EXTENSIONS or dtype not in _DTYPES:
        known = f"result_extension is one of {', '.join(EXTENSIONS)}; result_dtype is one of {', '.join(_DTYPES)}"
        raise RequestError(400, f"params: {known}.")
    if ending == ".nii.gz" and dtype == "uint8":
        return mask.read_bytes(), ending
    with TemporaryDirectory(prefix="pancascade-") as folder:
        path = Path(folder) / f"mask{ending}"
        try:
            write_volume(read_label_map(mask), path, dtype=dtype)
        except UnreadableError as error:
            raise RequestError(501, str(error)) from error
        return path.read_bytes(), ending


def file_answer(content: bytes, name: str, ending: str) -> Response:
    """Return a file as a download.

    Args:
        content: Content of the file.
        name: Name of the file without its suffix; made by the server.
        ending: Suffix with its dot.
    """
    headers = {"Content-Disposition": f'attachment; filename="{name}{ending}"'}
    return Response(content, media_type=_MEDIA.get(ending, "application/octet-stream"), headers=headers)


def mask_with_params(content: bytes, name: str, ending: str, params: Mapping[str, Any]) -> Response:
    """Return both in one ``multipart/form-data`` answer: ``params`` as JSON, ``image`` as a file."""
    boundary = secrets.token_hex(16)
    parts = (
        ('form-data; name="params"', "application/json", json.dumps(params).encode()),
        (f'form-data; name="image"; filename="{name}{ending}"', _MEDIA[ending], content),
    )
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: {place}\r\nContent-Type: {kind}\r\n\r\n".encode() + part + b"\r\n"
        for place, kind, part in parts
    )
    body += f"--{boundary}--\r\n".encode()
    return Response(body, media_type=f"multipart/form-data; boundary={boundary}")
