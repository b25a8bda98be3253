// The page: pictures, videos or the camera go to the service; its boxes are drawn over them.

import { show, showClasses } from "./answers.js";
import { endCamera, startCamera } from "./camera.js";
import { add, select } from "./pictures.js";
import { labels, models } from "./service.js";
import { $, say, state, ui } from "./state.js";

async function listModels() {
  const found = await models();
  const chosen = ui.model.value;
  ui.model.replaceChildren();
  for (const { name, model_version_status: versions } of found) {
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
  const told = Object.entries(await labels());
  state.labels.clear();
  for (const [id, label] of told) state.labels.set(label, Number(id));
  showClasses();
}

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
