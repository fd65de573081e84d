// Tables of class sortable: a click on a heading sorts; headings of class t hold words, those of class fixed do not sort.
const text = (row, at) => row.cells[at].textContent.trim();
const value = (words) => parseFloat(words.replace("\u2212", "-").replace("<", ""));
function sort(head) {
  const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const words = head.classList.contains("t"), sign = down ? -1 : 1;
  const keyed = [...body.rows].map((row) => [words ? text(row, at) : value(text(row, at)), row]);
  keyed.sort(([a], [b]) => words ? sign * a.localeCompare(b, undefined, {numeric: true})
    : isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : sign * (a - b));
  body.append(...keyed.map(([, row]) => row));
}
for (const head of document.querySelectorAll(".sortable thead th:not(.fixed)")) {
  head.tabIndex = 0;
  head.addEventListener("click", () => sort(head));
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head); });
}
