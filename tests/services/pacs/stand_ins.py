"""What stands beside a node in its tests: a PACS, a scanner, and work that needs no network."""

import queue
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pydicom
from dicom_phantoms import STUDY
from dicom_writing import ct_slices, other_series, picture, save
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from pancascade.errors import ScanError
from pancascade.imaging.io import find_source, read_volume, write_dicom_seg, write_rtstruct
from pancascade.imaging.volume import Volume
from pancascade.report.scan.dicom_sr import write_dicom_sr
from pancascade.results.measurements import measure_scan
from pancascade.segmentation.batch.case_folder import written_case
from pancascade.segmentation.batch.case_work import CaseJob, do_case
from pancascade.segmentation.batch.ledger import LedgerEntry
from pancascade.services.pacs.node import DicomNode
from pancascade.services.pacs.node_settings import NodeSettings, Peer

SEG, RTSTRUCT, SR = (
    f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("66.4", "481.3", "88.33")
)  # Segmentation, RT Structure Set, Comprehensive SR


def study(number: int = 1, *, slices: int = 6) -> list[Dataset]:
    """A CT of a patient and study of its own."""
    uids = {"StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.77.{number}", "PatientID": f"MRN-{number}"}
    uids["SeriesInstanceUID"] = f"{uids['StudyInstanceUID']}.1"
    return ct_slices(picture(rows=8, columns=8, slices=slices), **{**STUDY, **uids})


def without_ct() -> list[Dataset]:
    image = other_series(MRImageStorage, generate_uid(), Modality="MR", StudyInstanceUID=generate_uid())
    return [image]


def with_meta(image: Dataset) -> Dataset:
    if not hasattr(image, "file_meta"):
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def be_patient(entity: AE) -> None:
    """The library would wait 30 s, which a busy machine may take."""
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 240


def associated(port: int, *images: Dataset, calling: str = "SCANNER", called: str = "PANCASCADE", tls=None):
    """A scanner's association with a node, whether or not it was established."""
    scanner = AE(ae_title=calling)
    be_patient(scanner)
    for kind in dict.fromkeys(image.SOPClassUID for image in images):
        scanner.add_requested_context(kind, ExplicitVRLittleEndian)
    scanner.add_requested_context("1.2.840.10008.1.1")
    return scanner.associate("127.0.0.1", port, ae_title=called, tls_args=tls)


def store(port: int, images: list[Dataset], **choices: object) -> None:
    """Send a study as it should be."""
    association = associated(port, *images, **choices)
    assert association.is_established
    assert {association.send_c_store(with_meta(image)).Status for image in images} == {0}
    association.release()


def mask_of(scan: Volume) -> Volume:
    """A mask that only this scan has, so that a mix-up shows."""
    voxels = (np.indices(scan.shape).sum(axis=0) % 5 < 2).astype(np.uint8)
    voxels[2:4, 2:4, : scan.shape[2] // 2] = 2
    return scan.with_voxels(voxels)


def quick(job: CaseJob) -> LedgerEntry:
    """Results that hold nothing, at the right study; a scan that cannot be read is refused as the real work does it."""
    try:
        (first, *_) = find_source(job.scan.path).datasets
    except ScanError:
        return do_case(job)
    names = {SEG: "segmentation", RTSTRUCT: "rtstruct", SR: "measurements"}
    with written_case(job.out, job.scan.case) as folder:
        for kind, name in names.items():
            own = {
                "StudyInstanceUID": first.StudyInstanceUID,
                "PatientID": first.PatientID,
                "Manufacturer": "pancascade",
            }
            save(other_series(kind, generate_uid(), ManufacturerModelName="pancascade", **own), folder / f"{name}.dcm")
    return LedgerEntry(case=job.scan.case, state="done", seconds=0.1, input=job.scan.stamp)


def segmented(job: CaseJob) -> LedgerEntry:
    """Real results of a mask that needs no network."""
    scan = read_volume(job.scan.path)
    mask, source = mask_of(scan), find_source(job.scan.path)
    about = {"source": source, "model": "stub", "version": "0.1.0"}
    with written_case(job.out, job.scan.case) as folder:
        write_dicom_seg(mask, folder / "segmentation.dcm", **about)
        write_rtstruct(mask, folder / "rtstruct.dcm", **about)
        write_dicom_sr(
            measure_scan(mask, scan=scan),
            folder / "measurements.dcm",
            mask=mask,
            segmentation=folder / "segmentation.dcm",
            **about,
        )
    return LedgerEntry(case=job.scan.case, state="done", seconds=0.1, input=job.scan.stamp)


class Pacs:
    """A PACS whose answers a test chooses.

    Args:
        port: 0 lets the system choose.
        statuses: Of a C-STORE, by SOP class; success otherwise.
        ae_title: Its own; associations that call another one are refused.
    """

    def __init__(
        self, port: int = 0, *, statuses: dict[str, int] | None = None, ae_title: str = "PACS", tls=None
    ) -> None:
        self.statuses = statuses or {}
        self._came: queue.SimpleQueue[Dataset] = queue.SimpleQueue()
        entity = AE(ae_title=ae_title)
        be_patient(entity)
        entity.supported_contexts = AllStoragePresentationContexts
        entity.require_called_aet = True
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls)
        self._entity, self.port = entity, self._server.server_address[1]

    def __enter__(self) -> "Pacs":
        return self

    def __exit__(self, *_: object) -> None:
        self._entity.shutdown()

    def take(self, count: int) -> list[Dataset]:
        """The next objects that come."""
        return [self._came.get(timeout=120) for _ in range(count)]

    @property
    def has_more(self) -> bool:
        return not self._came.empty()

    def _store(self, event: evt.Event) -> int:
        status = self.statuses.get(event.request.AffectedSOPClassUID, 0x0000)
        if status == 0:
            self._came.put(pydicom.dcmread(BytesIO(event.encoded_dataset())))
        return status


class RunningNode:
    """A node in a thread, which listens when this is made."""

    def __init__(self, folder: Path, send_to: int, *, work=quick, title: str = "PACS", **choices: object) -> None:
        quick = {"port": 0, "quiet_s": 0, "first_retry_s": 0.05, "last_retry_s": 0.2}
        quick["send_to"] = Peer(ae_title=title, host="127.0.0.1", port=send_to)
        self.folder = folder
        self._node = DicomNode(NodeSettings(**{**quick, **choices}), folder, work=work)
        self._reported: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self._thread = Thread(target=self._run)
        self._thread.start()
        reported = self._reported.get(timeout=120)
        if isinstance(reported, BaseException):
            self._thread.join()
            raise reported
        self.port = reported

    def _run(self) -> None:
        try:
            self._node.run(ready=self._reported.put)
        except BaseException as error:
            self._reported.put(error)

    def stop(self) -> None:
        self._node.stop()
        self._thread.join()

    def left(self) -> list[str]:
        """Files of the queue that are neither ledger nor lock."""
        files = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(file) for file in files if file.name not in ("ledger.jsonl", ".pancascade-lock"))
