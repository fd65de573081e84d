"""Pages that the site takes from beside `docs`: the README as home, the changelog, and linked source files."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]+)(#[^)]*)?\)")
"""A link to a file beside `docs`: text, file, anchor."""

BESIDE = re.compile(r"\]\((?=(?:src|benchmarks|examples|tests)/|LICENSE|CITATION|CONTRIBUTING|CHANGELOG|SECURITY)")
"""The same, as a page at the root of the repository writes it."""

TAKEN = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""File of the repository → page of the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add home, changelog and their like, and every source file that a page links to."""
    pages = {page: from_docs((ROOT / name).read_text(encoding="utf-8")) for name, page in TAKEN.items()}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    texts = [*pages.values(), *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))]
    linked = {match[2] for text in texts for match in OUTSIDE.finditer(text)}
    for name in sorted(linked - TAKEN.keys()):
        if (ROOT / name).is_file():
            files.append(File.generated(config, f"source/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave `docs` to the copies of these files; a linked folder becomes plain text."""
    up = "../" * page.file.src_uri.count("/")

    def led(match: re.Match[str]) -> str:
        text, name, anchor = match[1], match[2], match[3] or ""
        if name in TAKEN:
            return f"[{text}]({up}{TAKEN[name]}{anchor})"
        return f"[{text}]({up}source/{name})" if (ROOT / name).is_file() else text

    return OUTSIDE.sub(led, markdown)


def from_docs(text: str) -> str:
    """A page at the root of the repository, as if it lay in `docs`."""
    return BESIDE.sub("](../", re.sub(r"\]\(docs/", "](", text))
