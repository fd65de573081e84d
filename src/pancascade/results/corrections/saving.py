"""Save a correction beside its result: numbered, whole or not at all; the original is not changed."""

import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pancascade.errors import DataError, OutputError
from pancascade.files.atomic import written_together
from pancascade.files.digests import content_digest
from pancascade.files.output_lock import lock_output
from pancascade.imaging.io import read_label_map, write_nifti
from pancascade.imaging.volume import Volume
from pancascade.labels import Label
from pancascade.results.corrections.packed_label_map import grid_of, on_grid_of, read_packed_label_map
from pancascade.results.corrections.record import (
    FOLDER,
    CorrectionRecord,
    SegmentedScan,
    newest_correction,
    next_number,
    read_segmented_scan,
)

MASK = "segmentation.nii.gz"
_MOST_LETTERS = 60
_FORBIDDEN = set('/\\<>:"|?*`')
_one_at_a_time = Lock()


class UnchangedError(DataError):
    """The label map is the one that was saved last, or the model's."""


def save_correction(result: Path, label_map: bytes, *, author: str, now: datetime) -> Path:
    """Save a mask that a reader has edited beside its result; the original is not changed.

    Args:
        result: Folder of `pancascade segment --out`, with ``result.json``.
        label_map: Content of a gzip NIfTI file: 0 background, 1 pancreas, 2 tumour, on the grid of the result's scan;
            its axes may be permuted or mirrored.
        author: Name of the reader, as given.
        now: When it was saved.

    Returns:
        ``RESULT/corrections/NNN.nii.gz``; ``NNN.json`` beside it holds author, time and digests.

    Raises:
        PancascadeError: The result or the label map cannot be used, nothing was changed, the author's name is invalid,
            or the folder cannot be written.
    """
    scan = read_segmented_scan(result)
    return save_label_map(result, read_packed_label_map(label_map, scan), author=author, now=now)


def save_label_map(result: Path, label_map: Volume, *, author: str, now: datetime) -> Path:
    """Save a label map that was read already; see `save_correction`.

    Args:
        result: Folder of the result.
        label_map: Labels, each voxel at its place in the patient.
        author: Name of the reader.
        now: When it was saved.

    Raises:
        PancascadeError: See `save_correction`.
    """
    author = author_name(author)
    scan = read_segmented_scan(result)
    labels = on_grid_of(scan, label_map)
    with _alone(result):
        _require_changed(result, labels)
        return _write(result, scan, labels, author=author, now=now)


def author_name(author: str) -> str:
    """Return a reader's name in the form in which it is saved.

    Raises:
        DataError: It is no name.
    """
    name = unicodedata.normalize("NFC", author.strip())
    if not name or len(name) > _MOST_LETTERS or not name.isprintable() or _FORBIDDEN & set(name):
        raise DataError(
            f"author: give the reader's name or initials, 1 to {_MOST_LETTERS} letters on one line, without "
            'any of / \\ < > : " | ? * `.'
        )
    return name


@contextmanager
def _alone(result: Path) -> Iterator[None]:
    """Lock the result against other processes; threads of this process wait for each other."""
    with _one_at_a_time:
        lock = lock_output(result, what="correction")
        try:
            lock.__enter__()
        except OutputError as error:
            if error.__cause__ is not None:  # the folder cannot be written
                raise
            raise OutputError(
                f"{result.name}: another program is writing there. Save the correction again in a moment."
            ) from error
        try:
            yield
        finally:
            lock.__exit__(None, None, None)


def _require_changed(result: Path, labels: NDArray[np.uint8]) -> None:
    newest = newest_correction(result)
    before = result / MASK if newest is None else newest.label_map
    if not before.is_file():  # masks in DICOM alone
        return
    known = read_label_map(before).voxels
    if known.shape == labels.shape and np.array_equal(known, labels):
        what = "the mask that the model made" if newest is None else f"correction {newest.number:03d}"
        raise UnchangedError(f"label map: the same as {what}, nothing was changed. Edit it before saving.")


def _write(result: Path, scan: SegmentedScan, labels: NDArray[np.uint8], *, author: str, now: datetime) -> Path:
    name = f"{next_number(result):03d}"
    files = (f"{name}.nii.gz", f"{name}.json")
    with written_together(result / FOLDER, names=files) as draft:
        # Written anew, because the header of the sent file may identify the patient.
        write_nifti(grid_of(scan).with_voxels(labels), draft / files[0])
        record = CorrectionRecord(
            author=author,
            saved=now.astimezone(UTC),
            model=scan.model,
            original_mask=content_digest(result / MASK) if (result / MASK).is_file() else None,
            scan_digest=scan.scan_digest,
            label_map=content_digest(draft / files[0]),
            voxels={label.title: int((labels == label).sum()) for label in Label if label},
        )
        text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False)
        (draft / files[1]).write_text(f"{text}\n", encoding="utf-8")
    return result / FOLDER / files[0]
