// The service's HTTP API. Everything is asked for with threshold 0, so that slider and class filter act at once, here.

import { state, ui } from "./state.js";

export const VIDEO_FPS = 5; // frames looked at per second of video

export class Refused extends Error {
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
export const address = (action) => (place() === "v1/" ? `v1/${action}` : `${place()}:${action}`);

export async function models() {
  return (await (await ask("v1/models")).json()).models;
}

// Class id -> label of the model that is chosen.
export async function labels() {
  return (await (await ask(`${place()}/card`)).json()).labels;
}

export async function detect(blob, signal) {
  const response = await ask(`${address("detect")}?threshold=0`, {
    method: "POST", body: blob, signal, headers: { "Content-Type": blob.type || "application/octet-stream" },
  });
  return response.json();
}

export async function* detectVideo(file, signal) {
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
