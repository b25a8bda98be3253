// Pictures and videos that the user chose.

import { learnLabels, show } from "./answers.js";
import { stopCamera } from "./camera.js";
import { detect, detectVideo, Refused } from "./service.js";
import { item, say, state, stopWork, ui } from "./state.js";

export function add(files) {
  if (!files.length) return;
  stopCamera();
  for (const old of state.items) URL.revokeObjectURL(old.url);
  state.items = [...files].map((file) => ({
    file, url: URL.createObjectURL(file), video: file.type.startsWith("video/") || /\.(mkv|avi|mov|webm|mp4)$/i.test(file.name),
  }));
  select(0);
}

export async function select(index) {
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
