// The search field "filter" shows only the rows of the table "every" that contain all its words.
const filter = document.getElementById("filter"), every = document.getElementById("every").tBodies[0];
const haystack = new Map([...every.rows].map((row) => [row, row.textContent.toLowerCase()]));
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const [row, hay] of haystack) { row.hidden = !words.every((word) => hay.includes(word)); shown += !row.hidden; }
  document.getElementById("count").textContent = words.length ? shown + " of " + haystack.size + " rows" : "";
});
