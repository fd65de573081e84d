"""Segment your own patients, from DICOM to reports: python examples/own_patients.py DICOM_FOLDER OUT.

Every CT study below DICOM_FOLDER is segmented. OUT gets one folder per case, with mask, pictures and report, and
cohort.html. OUT contains no names of patients or folders. Research use only; not for clinical use.
"""

import argparse
from pathlib import Path

import pancascade


def segment_patients(studies: Path, out: Path, *, workers: int = 1) -> list[str]:
    """Segment every study and return one line for each.

    Args:
        studies: Folder of DICOM files, at any depth; NIfTI files in it are segmented as well.
        out: Folder for the results. An interrupted run is continued.
        workers: Number of scans at the same time.

    Returns:
        The lines.
    """
    lines = []
    for case in pancascade.segment_many([studies], out, workers=workers, resume=True):
        if case.entry.state != "done":
            lines.append(f"{case.scan.case}: {case.entry.state}, {case.entry.reason.sentence}")
            continue
        result = pancascade.read_result(case.folder)
        lesions = result.pancreas_and_lesions.lesions
        size = f", the largest {lesions[0].diameters.long_mm:.0f} mm long" if lesions else ""
        volume = result.measurements["pancreas_with_tumour"]["volume_ml"]
        lines.append(
            f"{case.scan.case}: pancreas {volume:.0f} mL, {len(lesions)} lesions{size}: {case.folder.name}/report.html"
        )
    return lines


if __name__ == "__main__":  # starts processes
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    print("\n".join(segment_patients(chosen.studies, chosen.out, workers=chosen.workers)))
    print(f"All on one page: {chosen.out / 'cohort.html'}")
