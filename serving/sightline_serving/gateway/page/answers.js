// What was found: boxes, list, JSON and the curl line, by threshold and class filter.

import { colorOf, drawBoxes } from "./drawing.js";
import { address, VIDEO_FPS } from "./service.js";
import { item, state, ui } from "./state.js";

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

export function show(highlighted = -1) {
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
  const classes = [...state.labels.keys()].filter((name) => !state.hidden.has(name));
  if (state.hidden.size && classes.length) query.set("classes", classes.join(",")); // none at all cannot be asked for
  if (shown?.video) query.set("fps", VIDEO_FPS);
  const url = new URL(`${address(shown?.video ? "detectVideo" : "detect")}?${query}`, document.baseURI);
  const name = (shown?.file.name || "picture.jpg").replaceAll("'", "'\\''");
  const key = state.key ? " -H \"Authorization: Bearer $SIGHTLINE_KEY\"" : "";
  return `curl${key} --data-binary '@${name}' '${url}'`;
}

export function showClasses() {
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

export function learnLabels(result) {
  const before = state.labels.size;
  for (const { label, class_id } of result.detections) {
    if (!state.labels.has(label)) state.labels.set(label, class_id);
  }
  if (state.labels.size !== before) showClasses();
}
