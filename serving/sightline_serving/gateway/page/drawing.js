// Boxes over a picture, in the colours that the service itself draws with.

const GOLDEN_ANGLE = 0.381966; // of a turn: hues of consecutive classes lie far apart

const hueOf = (classId) => ((classId * GOLDEN_ANGLE) % 1) * 360;

export function colorOf(classId) {
  return `hsl(${hueOf(classId)} 85% 48%)`;
}

// What can be read on that colour: from orange to cyan they are too bright for white.
function inkOn(classId) {
  const hue = hueOf(classId);
  return hue > 25 && hue < 200 ? "#000" : "#fff";
}

// Draw detections on a canvas that lies over a picture shown at width x height CSS pixels.
export function drawBoxes(canvas, width, height, detections, highlighted = -1) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "600 14px system-ui, sans-serif";
  context.textBaseline = "top";
  [...detections.entries()].reverse().forEach(([place, found]) => {
    const [ymin, xmin, ymax, xmax] = found.box_normalized;
    const [left, top] = [xmin * width, ymin * height];
    context.strokeStyle = context.fillStyle = colorOf(found.class_id);
    context.lineWidth = place === highlighted ? 5 : 2.5;
    context.strokeRect(left, top, (xmax - xmin) * width, (ymax - ymin) * height);
    const text = `${found.label} ${found.score.toFixed(2)}`;
    const tag = context.measureText(text).width + 8;
    const above = top >= 20 ? top - 20 : top;
    const from = Math.max(0, Math.min(left, width - tag));
    context.fillRect(from, above, tag, 20);
    context.fillStyle = inkOn(found.class_id);
    context.fillText(text, from + 4, above + 3);
  });
}
