// The camera: one picture after the other, as fast as they are answered.

import { learnLabels, show } from "./answers.js";
import { detect } from "./service.js";
import { say, state, stopWork, ui } from "./state.js";

const CAMERA_SIDE = 1280; // pixels of the longer side that is sent
const JPEG_QUALITY = 0.85;

export function stopCamera() {
  state.camera?.getTracks().forEach((track) => track.stop());
  state.camera = null;
  ui.video.srcObject = null;
  ui.camera.setAttribute("aria-pressed", "false");
}

// Switched off by the user: nothing is left to be shown.
export function endCamera() {
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

export async function startCamera() {
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
  ui.strip.replaceChildren();
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
