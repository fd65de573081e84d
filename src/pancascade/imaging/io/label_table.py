"""Label names stored in the file of a label map, as TotalSegmentator writes them."""

import html
import re
from pathlib import Path

import nibabel as nib

from pancascade.imaging.io.nifti_header import quiet

_LABEL = re.compile(
    r'<Label\b[^>]{0,200}?\bKey="(\d{1,6})"[^>]{0,200}>\s*(?:<!\[CDATA\[(.{0,200}?)\]\]>|([^<]{0,200}))'
)
_MOST_BYTES = 1_000_000


def embedded_label_names(path: Path) -> dict[int, str]:
    """Return label names by value from the XML label table in the header of a NIfTI file.

    TotalSegmentator (``--ml``) and Connectome Workbench write one. The text is searched, not parsed: other text gives
    no names.

    Args:
        path: A file that has been read before.

    Returns:
        Names without value 0; empty for other formats and for files without a table.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return {}
    try:
        with quiet():
            extensions = list(nib.load(path).header.extensions)  # type: ignore[attr-defined]
    except (OSError, ValueError, EOFError, nib.filebasedimages.ImageFileError):
        return {}
    names: dict[int, str] = {}
    for extension in extensions:
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        for value, written, plain in _LABEL.findall(text[:_MOST_BYTES]):
            names.setdefault(int(value), html.unescape(written or plain).strip())
    names.pop(0, None)
    return names
