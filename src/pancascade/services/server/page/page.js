"use strict";

const mostBytes = Number(document.body.dataset.mostBytes);
const at = (id) => document.getElementById(id);
const states = { waiting: "waiting", running: "running", done: "done", refused: "not usable", failed: "failed" };
const kinds = { nifti: "NIfTI", "nifti-gz": "NIfTI", nrrd: "NRRD", "dicom-zip": "DICOM", dicom: "DICOM" };
const megabytes = (bytes) => `${bytes < 1e6 ? "< 1" : Math.round(bytes / 1e6)} MB`;

function complain(sentence) {
  at("fault").textContent = sentence;
  at("fault").hidden = !sentence;
}

/* The sentence of an error's answer. */
function sentenceOf(text, status) {
  try {
    return JSON.parse(text).detail || `The server answered with ${status}.`;
  } catch {
    return `The server answered with ${status}.`;
  }
}

/* Sending, one file after another. XMLHttpRequest, because fetch() does not report the progress of an upload. */

const waiting = [];
let sending = null;

function send(files) {
  complain("");
  for (const file of files) {
    if (file.size > mostBytes) complain(`This file has ${megabytes(file.size)}; the server accepts at most ${megabytes(mostBytes)}.`);
    else if (!file.size) complain("This file is empty.");
    else waiting.push(file);
  }
  if (!sending) sendNext();
}

function sendNext() {
  const file = waiting.shift();
  at("sending").hidden = !file;
  sending = null;
  if (!file) return;
  const form = new FormData();
  form.append("file", file, "scan");
  const request = new XMLHttpRequest();
  sending = request;
  const more = waiting.length ? `, ${waiting.length} more to come` : "";
  const say = (sentence) => (at("sending-what").textContent = sentence);
  say(`Sending ${megabytes(file.size)}${more}`);
  at("sent").value = 0;
  request.upload.onprogress = (event) => {
    at("sent").value = event.loaded / event.total;
    say(`Sending ${megabytes(file.size)}: ${Math.floor((100 * event.loaded) / event.total)} %${more}`);
  };
  request.onload = () => {
    if (request.status >= 400) complain(sentenceOf(request.responseText, request.status));
    sendNext();
  };
  request.onerror = () => {
    complain("The scan could not be sent: the server does not answer, or ended the upload.");
    sendNext();
  };
  request.onabort = sendNext;
  request.open("POST", "/jobs");
  request.send(form);
}

at("file").addEventListener("change", (event) => {
  send([...event.target.files]);
  event.target.value = "";
});
at("stop").addEventListener("click", () => sending && sending.abort());
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") send([...event.dataTransfer.files]);
  });
}

/* Jobs. */

const shown = new Map();

function show(jobs) {
  const known = new Set(jobs.map((job) => job.id));
  for (const [id, card] of shown) {
    if (!known.has(id)) {
      card.remove();
      shown.delete(id);
    }
  }
  jobs.forEach((job, place) => {
    let card = shown.get(job.id);
    if (!card) {
      card = at("job").content.firstElementChild.cloneNode(true);
      card.querySelector(".remove").addEventListener("click", (event) => remove(job.id, event.target));
      shown.set(job.id, card);
    }
    const said = JSON.stringify(job);
    if (card.dataset.said !== said) fill(card, job);
    card.dataset.said = said;
    if (at("jobs").children[place] !== card) at("jobs").insertBefore(card, at("jobs").children[place] || null);
  });
  at("none").hidden = jobs.length > 0;
}

function fill(card, job) {
  const part = (name) => card.querySelector(name);
  const unfinished = job.state === "waiting" || job.state === "running";
  card.dataset.state = job.state;
  part(".name").textContent = job.name;
  part(".state").textContent = states[job.state];
  part(".state").className = `state ${job.state}`;
  const when = new Date(job.created).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const took = job.seconds ? `, ${Math.max(1, Math.round(job.seconds))} s` : "";
  part(".what").textContent = `${kinds[job.kind]}, ${megabytes(job.size_bytes)}, ${when}${took}`;
  part(".remove").textContent = unfinished ? "Cancel" : "Remove";
  part(".progress").hidden = job.state !== "running";
  const bar = part("progress");
  if (job.progress.total) {
    bar.max = job.progress.total;
    bar.value = job.progress.done;
  } else bar.removeAttribute("value");
  bar.setAttribute("aria-label", job.progress.doing);
  part(".doing").textContent = job.progress.doing;
  part(".reason").hidden = !job.reason;
  part(".reason").textContent = job.reason ? job.reason.sentence : "";
  part(".found").hidden = job.state !== "done";
  if (job.state === "done") fillFound(part, job);
}

function fillFound(part, job) {
  const { pancreas_ml, lesions, tumour_ml, tumour_score, warnings } = job.summary;
  const numbers = [["pancreas", `${pancreas_ml.toFixed(1)} mL`], [lesions === 1 ? "lesion marked" : "lesions marked", lesions]];
  if (lesions) numbers.push(["tumour", `${tumour_ml.toFixed(1)} mL`]);
  if (tumour_score !== null) numbers.push(["tumour score, of 1", tumour_score.toFixed(2)]);
  part(".numbers").replaceChildren(
    ...numbers.map(([words, value]) => element("div", {}, element("dt", {}, words), element("dd", {}, value))),
  );
  part(".warnings").replaceChildren(...warnings.map((warning) => element("li", {}, warning.sentence)));
  const links = [["view", "Viewer"], ["report", "Report"], ["mask", "Mask"], ["all", "All files"]];
  part(".links").replaceChildren(
    ...links.map(([name, words]) => element("a", { href: job.links[name], class: name === "view" ? "main" : "" }, words)),
  );
}

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

async function remove(id, button) {
  button.disabled = true;
  try {
    const answer = await fetch(`/jobs/${id}`, { method: "DELETE" });
    if (!answer.ok && answer.status !== 404) complain(sentenceOf(await answer.text(), answer.status));
  } catch {
    complain("The server does not answer.");
  }
  button.disabled = false;
}

/* Changes. A page in the background closes its stream: browsers allow few connections to one server. */

let stream = null;

function listen() {
  if (stream || document.hidden) return;
  stream = new EventSource("/events");
  stream.addEventListener("jobs", (event) => show(JSON.parse(event.data).jobs));
  stream.onerror = () => at("jobs").classList.add("stale");
  stream.onopen = () => at("jobs").classList.remove("stale");
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden && stream) {
    stream.close();
    stream = null;
  }
  listen();
});
listen();
