"use strict";
/* One result: CT, mask, probability maps, lesions, and corrections by hand. NiiVue draws the pictures. */

const $ = (id) => document.getElementById(id);
const VIEWS = { Axial: 0, Coronal: 1, Sagittal: 2, "All planes": 3, "3-D": 4 };
const WINDOWS = { Abdomen: [40, 400], Pancreas: [80, 250], Liver: [60, 160], Lung: [-600, 1500], Bone: [400, 1800] };
const PENS = { Off: null, Pancreas: 1, Tumour: 2, Erase: 0 };
const COLOURS = { R: [0, 57, 255], G: [0, 211, 84], B: [0, 120, 76], A: [0, 255, 255], labels: ["", "pancreas", "tumour"] };
const STEPS = 1000; /* probabilities are stored in steps of 0.001 */
const KEYS = {
  "1 … 5": "planes: axial, coronal, sagittal, all, 3-D",
  "← → ↑ ↓": "move the crosshair in the plane",
  "Page ↑ ↓": "next and last slice",
  w: "next window",
  m: "mask on and off",
  o: "outline only",
  l: "next lesion",
  p: "next probability map",
  "+ −": "threshold up and down",
  u: "undo a stroke",
  "?": "this list",
};

const embedded = $("embedded") ? JSON.parse($("embedded").textContent) : null;
const state = { result: null, lesion: -1, dirty: false, target: null, counts: {}, mask: true, window: 0 };
const nv = new niivue.Niivue({
  isRadiologicalConvention: true,
  backColor: [0, 0, 0, 1],
  crosshairColor: [0.31, 0.76, 0.69, 0.9],
  crosshairWidth: 1,
  dragAndDropEnabled: false,
  isOrientationTextVisible: true,
  isNearestInterpolation: false,
  viewModeHotKey: "",
  clipPlaneHotKey: "",
  loadingText: "loading",
  logLevel: "error",
});
const WIDE = window.matchMedia("(min-width: 761px)");

function address(name) {
  if (!embedded) return name;
  const bytes = Uint8Array.from(atob(embedded.files[name]), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "application/gzip" }));
}

function say(text, bad = false) {
  $("message").hidden = !text;
  $("message").textContent = text;
  $("message").classList.toggle("bad", bad);
}

function row(table, cells) {
  const line = table.tBodies[0].insertRow();
  for (const cell of cells) line.insertCell().textContent = cell;
  return line;
}

function buttons(place, choices, chosen, act) {
  for (const name of Object.keys(choices)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(name === chosen));
    button.addEventListener("click", () => {
      for (const other of place.children) other.setAttribute("aria-pressed", String(other === button));
      act(choices[name], name);
    });
    place.append(button);
  }
}

function press(place, name) {
  for (const button of $(place).children) if (button.textContent === name) button.click();
}

/* ── the result ── */

function showResult(result) {
  document.title = `${result.scan} – pancascade`;
  $("scan").textContent = result.scan;
  $("use").textContent = `${result.model}. ${result.use}`;
  for (const notice of result.notices) {
    const line = document.createElement("li");
    line.className = notice.severity;
    line.textContent = notice.sentence;
    $("notices").append(line);
  }
  for (const [name, value] of result.measurements) row($("measurements"), [name, value]);
  $("lesion-part").hidden = result.lesions.length === 0;
  result.lesions.forEach((lesion, index) => {
    const line = row($("lesions"), lesion.cells);
    line.tabIndex = 0;
    line.addEventListener("click", () => goTo(index));
    line.addEventListener("keydown", (event) => { if (event.key === "Enter") goTo(index); });
  });
  $("saving").hidden = !result.corrections;
  $("saving-note").textContent = result.corrections_note ?? "";
  $("author").value = result.author;
  for (const [key, meaning] of Object.entries(KEYS)) {
    $("key-list").append(Object.assign(document.createElement("dt"), { textContent: key }));
    $("key-list").append(Object.assign(document.createElement("dd"), { textContent: meaning }));
  }
  if (!result.files.ct) say("The scan was not found, so only the mask is shown. Give its path with --scan.");
}

function goTo(index) {
  state.lesion = index;
  [...$("lesions").tBodies[0].rows].forEach((line, n) => line.setAttribute("aria-selected", String(n === index)));
  nv.scene.crosshairPos = nv.mm2frac(state.result.lesions[index].centre_mm, 0, true);
  nv.drawScene();
  nv.createOnLocationChange();
}

/* ── pictures ── */

async function load(result) {
  await nv.attachToCanvas($("canvas"));
  const { ct, mask, probabilities } = result.files;
  const base = ct || mask;
  const volumes = [{ url: address(base), name: "scan.nii.gz", colormap: "gray", cal_min: ct ? -160 : 1e6, cal_max: ct ? 240 : 2e6 }];
  for (const name of Object.keys(probabilities)) {
    volumes.push({ url: address(probabilities[name]), name: `${name}.nii.gz`, colormap: "viridis", opacity: 0, cal_min: 0.5, cal_max: 1 });
  }
  await nv.loadVolumes(volumes);
  nv.volumes[0].cal_min = ct ? -160 : 1e6;
  nv.volumes[0].cal_max = ct ? 240 : 2e6;
  Object.keys(probabilities).forEach((name, place) => { state.counts[name] = countAbove(nv.volumes[place + 1]); });
  const drawing = await niivue.NVImage.loadFromUrl({ url: address(mask), name: "mask.nii.gz" });
  nv.loadDrawing(drawing);
  nv.setDrawColormap(COLOURS);
  nv.setDrawOpacity(Number($("opacity").value));
  nv.updateGLVolume();
  state.dirty = false;
}

/* Number of voxels at or above each step of probability, for an instant count at any threshold. */
function countAbove(volume) {
  const counts = new Float64Array(STEPS + 2);
  const slope = volume.hdr.scl_slope || 1;
  for (const stored of volume.img) if (stored) counts[Math.min(STEPS, Math.round(stored * slope * STEPS))] += 1;
  for (let step = STEPS - 1; step >= 0; step -= 1) counts[step] += counts[step + 1];
  return counts;
}

function showProbability(name) {
  state.target = name;
  const names = Object.keys(state.result.files.probabilities);
  names.forEach((one, place) => nv.setOpacity(place + 1, one === name ? 0.6 : 0));
  if (name) $("threshold").value = state.result.thresholds[name];
  threshold();
}

function threshold() {
  const value = Number($("threshold").value);
  $("threshold-value").textContent = value.toFixed(2);
  $("above").textContent = "";
  if (!state.target) return;
  const place = Object.keys(state.result.files.probabilities).indexOf(state.target) + 1;
  nv.volumes[place].cal_min = value;
  nv.updateGLVolume();
  const voxels = state.counts[state.target][Math.round(value * STEPS)];
  $("above").textContent = `${state.target}: ${(voxels * state.result.voxel_ml).toFixed(1)} mL, ${voxels} voxels at or above`;
}

function windowTo(level, width) {
  $("level").value = level;
  $("width").value = width;
  if (!state.result.files.ct) return;
  nv.volumes[0].cal_min = level - width / 2;
  nv.volumes[0].cal_max = level + width / 2;
  nv.updateGLVolume();
}

function drawMask() {
  const opacity = state.mask ? Number($("opacity").value) : 0;
  const outline = $("outline").checked && state.mask;
  nv.drawRimOpacity = outline ? 1 : -1;
  nv.setDrawOpacity(outline ? 0.01 : opacity);
}

/* ── corrections ── */

function pen(value) {
  nv.setDrawingEnabled(value !== null);
  if (value !== null) nv.setPenValue(value, false);
  nv.opts.penSize = Math.max(1, Number($("size").value) || 1);
}

async function edited() {
  const bytes = await nv.saveImage({ filename: "", isSaveDrawing: true });
  if (!(bytes instanceof Uint8Array)) throw new Error("The mask could not be read from the page.");
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).blob();
}

async function save(event) {
  event.preventDefault();
  $("save").disabled = true;
  state.dirty = false; /* later strokes are not in the sent mask */
  try {
    const asked = `correction?author=${encodeURIComponent($("author").value.trim())}`;
    const answer = await fetch(asked, { method: "POST", headers: { "Content-Type": "application/gzip" }, body: await edited() });
    const told = await answer.json().catch(() => ({ detail: "The server's answer cannot be read." }));
    if (!answer.ok) throw new Error(told.detail);
    say(`Saved as ${told.saved}. The original mask is not changed. ${told.note ?? ""}`);
  } catch (error) {
    state.dirty = true;
    say(error instanceof TypeError ? "Not saved: the viewer does not answer. Is it still running?" : error.message, true);
  } finally {
    $("save").disabled = false;
  }
}

async function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await edited());
  link.download = "corrected_mask.nii.gz";
  link.click();
}

/* ── controls ── */

function next(place) {
  const all = [...$(place).children];
  const now = all.findIndex((button) => button.getAttribute("aria-pressed") === "true");
  if (all.length) all[(now + 1) % all.length].click();
}

const MOVES = {
  ArrowLeft: [[1, 0, 0], [1, 0, 0], [0, -1, 0]],
  ArrowRight: [[-1, 0, 0], [-1, 0, 0], [0, 1, 0]],
  ArrowUp: [[0, 1, 0], [0, 0, 1], [0, 0, 1]],
  ArrowDown: [[0, -1, 0], [0, 0, -1], [0, 0, -1]],
  PageUp: [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
  PageDown: [[0, 0, -1], [0, -1, 0], [-1, 0, 0]],
};

function move(key) {
  const plane = nv.opts.sliceType <= 2 ? nv.opts.sliceType : 0;
  nv.moveCrosshairInVox(...MOVES[key][plane]);
}

function step(by) {
  $("threshold").value = Number($("threshold").value) + by;
  threshold();
}

function onKey(event) {
  if (event.target.matches("input:not([type=range]):not([type=checkbox])") || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    w: () => next("windows"),
    m: () => { state.mask = !state.mask; drawMask(); },
    o: () => { $("outline").checked = !$("outline").checked; drawMask(); },
    l: () => { if (state.result.lesions.length) goTo((state.lesion + 1) % state.result.lesions.length); },
    p: () => next("targets"),
    "+": () => step(0.01),
    "-": () => step(-0.01),
    u: () => nv.drawUndo(),
    "?": () => { $("keys").open = !$("keys").open; },
  };
  const named = Object.keys(VIEWS)[Number(event.key) - 1];
  if (event.key in MOVES && !event.target.matches("input[type=range]") && event.target.closest("#pictures, body")) {
    if (event.target.closest("#panel")) return;
    move(event.key);
  } else if (named) press("views", named);
  else if (event.key in acts) acts[event.key]();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function wire(result) {
  buttons($("views"), VIEWS, "All planes", (type) => nv.setSliceType(type));
  buttons($("windows"), WINDOWS, "Abdomen", ([level, width]) => windowTo(level, width));
  const names = Object.keys(result.files.probabilities);
  $("probabilities").hidden = names.length === 0;
  buttons($("targets"), { None: null, ...Object.fromEntries(names.map((name) => [name, name])) }, "None", (name) => showProbability(name));
  buttons($("pens"), PENS, "Off", (value) => pen(value));
  for (const id of ["level", "width"]) {
    $(id).addEventListener("change", () => windowTo(Number($("level").value), Math.max(1, Number($("width").value))));
  }
  $("opacity").addEventListener("input", drawMask);
  $("outline").addEventListener("change", drawMask);
  $("threshold").addEventListener("input", threshold);
  $("size").addEventListener("change", () => { nv.opts.penSize = Math.max(1, Number($("size").value) || 1); });
  $("undo").addEventListener("click", () => nv.drawUndo());
  $("download").addEventListener("click", download);
  $("saving").addEventListener("submit", save);
  /* NiiVue does not report a stroke that leaves the canvas. */
  $("canvas").addEventListener("pointerdown", () => { if (nv.opts.drawingEnabled) state.dirty = true; });
  document.addEventListener("keydown", onKey, true);
  window.addEventListener("beforeunload", (event) => { if (state.dirty) event.preventDefault(); });
  nv.onDrawingChanged = (action) => { if (action === "draw" || action === "undo") state.dirty = true; };
  nv.onLocationChange = (where) => {
    const [x, y, z] = where.mm;
    const hu = result.files.ct && where.values.length ? `${Math.round(where.values[0].value)} HU` : "";
    $("place").textContent = `${Math.abs(x).toFixed(0)} ${x < 0 ? "L" : "R"}  ${Math.abs(y).toFixed(0)} ${y < 0 ? "P" : "A"}  ${Math.abs(z).toFixed(0)} ${z < 0 ? "I" : "S"} mm  ${hu}`;
  };
}

async function begin() {
  try {
    state.result = embedded ? embedded.document : await (await fetch("viewer.json")).json();
    showResult(state.result);
    wire(state.result);
    await load(state.result);
    nv.opts.multiplanarLayout = WIDE.matches ? 2 : 0; /* a grid, or the layout that fits */
    nv.opts.multiplanarShowRender = WIDE.matches ? 1 : 0; /* with 3-D in its fourth field */
    nv.setSliceType(3);
    windowTo(...WINDOWS.Abdomen);
    if (state.result.lesions.length) goTo(0);
    else if (state.result.centre_mm) {
      nv.scene.crosshairPos = nv.mm2frac(state.result.centre_mm, 0, true);
      nv.drawScene();
    }
    document.body.dataset.state = "ready";
  } catch (error) {
    say(`The result cannot be shown: ${error.message}`, true);
    document.body.dataset.state = "failed";
  }
}

window.viewer = { nv, state };
begin();
