// The page: pictures, videos or the camera go to the service; its boxes are drawn over them.
// Everything is asked for with threshold 0, so that slider and class filter act at once, here.

import { colorOf, drawBoxes } from "./drawing.js";

const CAMERA_SIDE = 1280; // pixels of the longer side that is sent
const JPEG_QUALITY = 0.85;
const VIDEO_FPS = 5; // frames looked at per second of video

const $ = (id) => document.getElementById(id);
const ui = Object.fromEntries(
  ["model", "drop", "invitation", "view", "picture", "video", "boxes", "files", "camera", "status", "strip", "key-form",
    "key", "threshold", "threshold-value", "classes", "found", "count", "curl", "json"].map((id) => [id, $(id)]),
);

const state = {
  items: [], // { file, url, video, result, records, summary }
  current: -1,
  hidden: new Set(), // labels that are filtered out
  labels: new Map(), // label -> class id, all that were ever seen
  camera: null, // the MediaStream while it runs
  work: new AbortController(), // ends what is under way when something else is asked
  key: "",
};

// --- the service -----------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(problem) {
    super(problem.detail || problem.title || "the service failed");
    this.status = problem.status;
  }
}

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (state.key) headers.set("Authorization", `Bearer ${state.key}`);
  const response = await fetch(path, { ...options, headers }).catch((fault) => {
    if (fault.name === "AbortError") throw fault;
    throw new Error("The service cannot be reached, or the file cannot be read; try again");
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ status: response.status, title: response.statusText }));
  if (response.status === 401) {
    ui["key-form"].hidden = false;
    ui.key.focus();
  }
  throw new Refused(problem);
}

const place = () => ui.model.value || "v1/";
const address = (action) => (place() === "v1/" ? `v1/${action}` : `${place()}:${action}`);

async function listModels() {
  const { models } = await (await ask("v1/models")).json();
  const chosen = ui.model.value;
  ui.model.replaceChildren();
  for (const { name, model_version_status: versions } of models) {
    const path = `v1/models/${encodeURIComponent(name)}`;
    ui.model.add(new Option(`${name} (newest)`, path));
    for (const { version, state: is } of versions) {
      const option = new Option(`${name} version ${version}${is === "AVAILABLE" ? "" : ` (${is})`}`,
        `${path}/versions/${version}`);
      option.disabled = is !== "AVAILABLE";
      ui.model.add(option);
    }
  }
  if ([...ui.model.options].some((option) => option.value === chosen)) ui.model.value = chosen;
  await listClasses();
}

async function listClasses() {
  const card = await (await ask(`${place()}/card`)).json();
  state.labels.clear();
  for (const [id, label] of Object.entries(card.labels)) state.labels.set(label, Number(id));
  showClasses();
}

async function detect(blob, signal) {
  const response = await ask(`${address("detect")}?threshold=0`, {
    method: "POST", body: blob, signal, headers: { "Content-Type": blob.type || "application/octet-stream" },
  });
  return response.json();
}

async function* detectVideo(file, signal) {
  const response = await ask(`${address("detectVideo")}?threshold=0&fps=${VIDEO_FPS}`, {
    method: "POST", body: file, signal, headers: { "Content-Type": "application/octet-stream" },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

// --- what is shown ---------------------------------------------------------------------------------------

function say(text, failed = false) {
  ui.status.textContent = text;
  ui.status.classList.toggle("failed", failed);
}

const item = () => state.items[state.current];

// The answer that belongs to what is on screen: of the picture, or of the frame that the video is at.
function answer() {
  const shown = item();
  if (!shown?.records) return shown?.result ?? null;
  const now = ui.video.error ? Infinity : ui.video.currentTime; // of what cannot be played, the newest frame
  let best = null;
  for (const record of shown.records) {
    if (record.time > now + 0.5 / VIDEO_FPS) break;
    best = record;
  }
  return best;
}

function kept(result) {
  const threshold = Number(ui.threshold.value);
  return result.detections.filter(({ score, label }) => score >= threshold && !state.hidden.has(label));
}

function show(highlighted = -1) {
  const result = answer();
  const detections = result ? kept(result) : [];
  const medium = ui.video.hidden ? ui.picture : ui.video;
  drawBoxes(ui.boxes, medium.clientWidth, medium.clientHeight, detections, highlighted);
  // What moves is not read aloud at each frame.
  ui.count.setAttribute("aria-live", ui.video.hidden ? "polite" : "off");
  const count = result ? `${detections.length || "No"} ${detections.length === 1 ? "object" : "objects"}` : "";
  if (ui.count.textContent !== count) ui.count.textContent = count;
  const body = ui.found.tBodies[0];
  body.replaceChildren();
  detections.forEach(({ label, score, box, class_id }, index) => {
    const row = body.insertRow();
    const name = row.insertCell();
    name.textContent = label;
    name.className = "labelled";
    name.style.setProperty("--label", colorOf(class_id));
    row.insertCell().textContent = score.toFixed(3);
    row.insertCell().textContent = [box.xmin, box.ymin, box.xmax, box.ymax].map(Math.round).join(", ");
    row.addEventListener("mouseenter", () => drawBoxes(ui.boxes, medium.clientWidth, medium.clientHeight, detections, index));
  });
  ui.json.textContent = result ? JSON.stringify({ ...result, detections }, null, 2) : "";
  ui.curl.textContent = curl();
}

function curl() {
  const shown = item();
  const query = new URLSearchParams({ threshold: Number(ui.threshold.value).toFixed(2) });
  if (state.hidden.size) query.set("classes", [...state.labels.keys()].filter((name) => !state.hidden.has(name)).join(","));
  if (shown?.video) query.set("fps", VIDEO_FPS);
  const url = new URL(`${address(shown?.video ? "detectVideo" : "detect")}?${query}`, document.baseURI);
  const name = (shown?.file.name || "picture.jpg").replaceAll("'", "'\\''");
  const key = state.key ? " -H \"Authorization: Bearer $SIGHTLINE_KEY\"" : "";
  return `curl${key} --data-binary '@${name}' '${url}'`;
}

function showClasses() {
  ui.classes.replaceChildren();
  for (const [label, id] of state.labels) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !state.hidden.has(label) });
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](label);
      show();
    });
    const named = document.createElement("label");
    named.append(box, label);
    named.style.borderColor = colorOf(id);
    ui.classes.append(named);
  }
}

function learnLabels(result) {
  const before = state.labels.size;
  for (const { label, class_id } of result.detections) {
    if (!state.labels.has(label)) state.labels.set(label, class_id);
  }
  if (state.labels.size !== before) showClasses();
}

function showStrip() {
  ui.strip.replaceChildren();
  if (state.items.length < 2) return;
  state.items.forEach((one, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: one.file.name });
    button.setAttribute("aria-label", one.file.name);
    button.setAttribute("aria-current", String(index === state.current));
    if (one.video) button.textContent = "▶";
    else button.append(Object.assign(new Image(), { src: one.url, alt: "" }));
    button.addEventListener("click", () => select(index));
    const entry = document.createElement("li");
    entry.append(button);
    ui.strip.append(entry);
  });
}

// --- pictures and videos ---------------------------------------------------------------------------------

function stopWork() {
  state.work.abort();
  state.work = new AbortController();
  return state.work.signal;
}

function add(files) {
  if (!files.length) return;
  stopCamera();
  for (const old of state.items) URL.revokeObjectURL(old.url);
  state.items = [...files].map((file) => ({
    file, url: URL.createObjectURL(file), video: file.type.startsWith("video/") || /\.(mkv|avi|mov|webm|mp4)$/i.test(file.name),
  }));
  select(0);
}

async function select(index) {
  state.current = index;
  const shown = item();
  ui.invitation.hidden = true;
  ui.view.hidden = false;
  ui.drop.classList.add("filled");
  ui.picture.hidden = shown.video;
  ui.video.hidden = !shown.video;
  ui.video.srcObject = null;
  ui.video.controls = true;
  if (shown.video) ui.video.src = shown.url;
  else {
    ui.video.removeAttribute("src");
    ui.picture.src = shown.url;
    ui.picture.alt = shown.file.name;
    const visible = await ui.picture.decode().then(() => true, () => false);
    if (shown !== item()) return; // something else was chosen meanwhile, and is at work
    ui.view.hidden = !visible;
    ui.invitation.hidden = visible;
  }
  showStrip();
  show();
  await look(shown, stopWork());
}

async function look(shown, signal) {
  try {
    if (shown.video) await lookAtVideo(shown, signal);
    else {
      say("Looking …");
      shown.result ??= await detect(shown.file, signal);
      learnLabels(shown.result);
      const { model, timing_ms: timing } = shown.result;
      say(`${model.name} version ${model.version}, ${timing.total.toFixed(0)} ms`);
    }
  } catch (fault) {
    if (fault.name === "AbortError") return;
    say(fault.message, true);
  }
  show();
}

async function lookAtVideo(shown, signal) {
  ui.video.play().catch(() => {});
  if (shown.summary) {
    say(shown.summary);
    return;
  }
  shown.records = [];
  for await (const line of detectVideo(shown.file, signal)) {
    if (line.error) throw new Refused(line.error);
    if (line.summary) {
      const { frames, warning } = line.summary;
      const unseen = ui.video.error ? "; this browser cannot play it, so these are of the last one" : "";
      shown.summary = `${frames} frames looked at${warning ? `; ${warning}` : ""}${unseen}`;
      say(shown.summary);
      break;
    }
    shown.records.push(line);
    learnLabels(line);
    say(`${line.time.toFixed(1)} s of the video looked at …`);
    if (shown === item()) show();
  }
}

// --- the camera ------------------------------------------------------------------------------------------

function stopCamera() {
  state.camera?.getTracks().forEach((track) => track.stop());
  state.camera = null;
  ui.video.srcObject = null;
  ui.camera.setAttribute("aria-pressed", "false");
}

// Switched off by the user: nothing is left to be shown.
function endCamera() {
  stopWork();
  stopCamera();
  state.items = [];
  state.current = -1;
  ui.view.hidden = true;
  ui.invitation.hidden = false;
  ui.drop.classList.remove("filled");
  say("");
  show();
}

async function startCamera() {
  const signal = stopWork();
  if (!navigator.mediaDevices) {
    say("No camera: browsers lend it only to pages that come by HTTPS or from this machine", true);
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (fault) {
    say(`No camera: ${fault.message}`, true);
    return;
  }
  if (signal.aborted) { // something else was asked for meanwhile: it is not left running unseen
    stream.getTracks().forEach((track) => track.stop());
    return;
  }
  state.camera = stream;
  ui.camera.setAttribute("aria-pressed", "true");
  const shown = { file: { name: "camera.jpg" }, video: false, result: null };
  state.items = [shown];
  state.current = 0;
  showStrip();
  ui.invitation.hidden = true;
  ui.view.hidden = ui.video.hidden = false;
  ui.picture.hidden = true;
  ui.drop.classList.add("filled");
  ui.video.srcObject = state.camera;
  ui.video.controls = false; // there is nothing to seek
  await ui.video.play();
  while (state.camera === stream) {
    try {
      shown.result = await detect(await grab(), signal);
      learnLabels(shown.result);
      say(`Camera, ${shown.result.timing_ms.total.toFixed(0)} ms a picture`);
      show();
    } catch (fault) {
      if (fault.name === "AbortError") return;
      say(fault.message, true);
      await new Promise((resume) => setTimeout(resume, 1000)); // a refusal is not answered at once
    }
  }
}

function grab() {
  const scale = Math.min(1, CAMERA_SIDE / Math.max(ui.video.videoWidth, ui.video.videoHeight));
  const canvas = new OffscreenCanvas(Math.round(ui.video.videoWidth * scale), Math.round(ui.video.videoHeight * scale));
  canvas.getContext("2d").drawImage(ui.video, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
}

// --- what the user does ----------------------------------------------------------------------------------

// What another model said is not shown as this one's, whether or not it will answer.
function forget() {
  for (const one of state.items) {
    delete one.result;
    delete one.records;
    delete one.summary;
  }
  show();
}

function again() {
  forget();
  if (state.items.length && !state.camera) select(state.current);
}

function refuse(fault) {
  say(fault.message, true);
}

ui.files.addEventListener("change", () => {
  add(ui.files.files);
  ui.files.value = ""; // or the same file could not be chosen again
});
ui.camera.addEventListener("click", () => (state.camera ? endCamera() : startCamera()));
ui.threshold.addEventListener("input", () => {
  ui["threshold-value"].textContent = Number(ui.threshold.value).toFixed(2);
  show();
});
ui.model.addEventListener("change", () => {
  say(""); // what went wrong before belongs to what was asked before
  forget();
  listClasses().then(again).catch(refuse);
});
ui["key-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = ui.key.value.trim();
  ui["key-form"].hidden = true;
  say("");
  listModels().then(again).catch(refuse);
});
ui.found.addEventListener("mouseleave", () => show());
ui.video.addEventListener("timeupdate", () => show());
ui.video.addEventListener("error", () => {
  ui.view.hidden = true;
  ui.invitation.hidden = false;
  show();
});
new ResizeObserver(() => show()).observe(ui.view);

// Files may be dropped anywhere: beside the frame, the browser would leave the page for them.
const holdsFiles = (event) => event.dataTransfer.types.includes("Files");
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    ui.drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) ui.drop.classList.remove("over"); // it left the page, not just one of its parts
});
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  ui.drop.classList.remove("over");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
});

for (const [button, source] of [["copy-curl", ui.curl], ["copy-json", ui.json]]) {
  $(button).addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(source.textContent);
      say("Copied");
    } catch { // a page that did not come by HTTPS has no clipboard; what is selected, the user can copy
      getSelection().selectAllChildren(source);
      say("Selected; copy it with Ctrl+C");
    }
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA|VIDEO/.test(event.target.tagName)) return;
  const turn = (by) => state.items.length > 1 && select((state.current + by + state.items.length) % state.items.length);
  const nudge = (by) => {
    ui.threshold.value = Number(ui.threshold.value) + by;
    ui.threshold.dispatchEvent(new Event("input"));
  };
  const keys = {
    o: () => ui.files.click(), c: () => ui.camera.click(), ArrowLeft: () => turn(-1), ArrowRight: () => turn(1),
    "+": () => nudge(0.05), "-": () => nudge(-0.05),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

show();
listModels().catch(refuse);
