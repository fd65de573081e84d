"""Write a result as one HTML file that needs no server and no network."""

import base64
import json
from pathlib import Path
from typing import Any

from pancascade.files.atomic import written_whole
from pancascade.services.viewer.page_files import page_files
from pancascade.services.viewer.pictures import Pictures


def write_single_page(path: Path, document: dict[str, Any], pictures: Pictures) -> None:
    """Write the page with all its data inside; corrections can be downloaded, not sent.

    Args:
        path: HTML file to write.
        document: Data by `viewer_document`.
        pictures: Pictures of the same result.

    Raises:
        UnreadableError: The result has no mask as NIfTI.
        OutputError: The path cannot be written.
    """
    named = document["files"]
    addresses = [named["ct"], named["mask"], *named["probabilities"].values()]
    contents = {one: content for one in addresses if one and (content := pictures.content(one)) is not None}
    inside = {
        "document": {**document, "corrections": False},
        "files": {address: base64.b64encode(content).decode() for address, content in contents.items()},
    }
    files = {name: file.content.decode("utf-8") for name, file in page_files().items()}
    page = files["page.html"].replace(
        '<link rel="stylesheet" href="viewer.css">', f"<style>\n{files['viewer.css']}</style>"
    )
    # "</" would end the element early, wherever it occurs.
    data = json.dumps(inside).replace("</", "<\\/")
    scripts = ""
    for name in _SCRIPTS:
        page = page.replace(f'<script src="{name}"></script>\n', "")
        scripts += "<script>\n" + files[name].replace("</script", "<\\/script") + "</script>\n"
    page = page.replace("</body>", f'<script type="application/json" id="embedded">{data}</script>\n{scripts}</body>')
    with written_whole(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


_SCRIPTS = ("niivue.umd.js", "viewer.js")
