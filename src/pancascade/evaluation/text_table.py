"""A table of text cells, as Markdown and as LaTeX."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class TextTable:
    """A table of text cells.

    Attributes:
        caption: Caption with content and protocol.
        header: Headings of the columns.
        rows: One row per method.
        best: (row, column) of the best value of each column that has one.
        grey: Rows quoted from papers.
        notes: Notes below the table, in this order.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    grey: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return the table as Markdown for GitHub; best values bold, quoted rows in italics."""
        lines = [f"**{self.caption}**", "", _line(self.header), _line(["---", *["---:"] * (len(self.header) - 1)])]
        for place, row in enumerate(self.rows):
            cells = (f"**{c}**" if (place, n) in self.best else c for n, c in enumerate(row))
            lines.append(_line(f"*{c}*" if c and place in self.grey else c for c in cells))
        lines += [text for note in self.notes for text in ("", note)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """Return the table as LaTeX with booktabs; best values bold, quoted rows grey (package xcolor)."""
        columns = "l" + "r" * (len(self.header) - 1)
        body = [
            " & ".join(self._latex_cell(place, n, cell) for n, cell in enumerate(row))
            for place, row in enumerate(self.rows)
        ]
        lines = [
            r"\begin{table}",
            rf"\caption{{{_escape(self.caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escape, self.header)) + r" \\",
            r"\midrule",
            *(row + r" \\" for row in body),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {_escape(note)}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def _latex_cell(self, row: int, column: int, cell: str) -> str:
        text = rf"\textbf{{{_escape(cell)}}}" if (row, column) in self.best else _escape(cell)
        return rf"\textcolor{{gray}}{{{text}}}" if cell and row in self.grey else text


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


_SPECIAL = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "±": r"$\pm$",
    "–": "--",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "≥": r"$\geq$",
    "−": r"$-$",
    "<": r"$<$",
}


def _escape(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
