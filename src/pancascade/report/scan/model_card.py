"""Render a model card in Markdown as safe HTML."""

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

_HEADINGS_BELOW = 2
_WEB = re.compile(r"https?://", re.IGNORECASE)


def render_card(text: str) -> Markup:
    """Return the HTML of a card for a page with its own headings.

    HTML in the card is shown as text, pictures are left out (a page loads nothing), and only web links stay links;
    headings start at level three.

    Args:
        text: Markdown (CommonMark, with tables).
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = _leads_to_the_web  # type: ignore[method-assign]
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _HEADINGS_BELOW, 6)}"
    # Safe: the parser escapes all text and attributes and passes no HTML of the card.
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _leads_to_the_web(url: str) -> bool:
    return _WEB.match(url) is not None
