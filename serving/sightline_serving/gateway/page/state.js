// What the page is at, and the elements that show it.

export const $ = (id) => document.getElementById(id);
export const ui = Object.fromEntries(
  ["model", "drop", "invitation", "view", "picture", "video", "boxes", "files", "camera", "status", "strip", "key-form",
    "key", "threshold", "threshold-value", "classes", "found", "count", "curl", "json"].map((id) => [id, $(id)]),
);

export const state = {
  items: [], // { file, url, video, result, records, summary }
  current: -1,
  hidden: new Set(), // labels that are filtered out
  labels: new Map(), // label -> class id, all that were ever seen
  camera: null, // the MediaStream while it runs
  work: new AbortController(), // ends what is under way when something else is asked
  key: "",
};

export const item = () => state.items[state.current];

export function say(text, failed = false) {
  ui.status.textContent = text;
  ui.status.classList.toggle("failed", failed);
}

// Ends what is under way; gives the signal of what comes instead.
export function stopWork() {
  state.work.abort();
  state.work = new AbortController();
  return state.work.signal;
}
