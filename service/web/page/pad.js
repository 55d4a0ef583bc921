// A pad to write on: pen, finger or mouse.

import { $, sized } from "./dom.js";

const PAUSE = 700; // milliseconds after a stroke, until which another one may follow
const PEN = 0.055; // its width, as a share of the pad's height
const PRESSED = 0.6; // of that, what a light touch of a pen leaves

/** Call back with a picture of what is written, whenever the pen rests. */
export function onWriting(read) {
  const canvas = $("pad-canvas");
  let strokes = [];
  let stroke = null;
  let timer;

  const redraw = () => {
    const context = sized(canvas, canvas.parentElement.clientWidth, padHeight());
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height); // or what is sent would be transparent
    for (const each of strokes) paint(context, each);
  };
  const changed = () => {
    redraw();
    clearTimeout(timer);
    if (strokes.length) timer = setTimeout(() => pictureOf(strokes, canvas).toBlob((blob) => read(blob, "writing.png")), PAUSE);
  };
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const force = event.pointerType === "pen" && event.pressure ? PRESSED + event.pressure * (1 - PRESSED) : 1;
    return { x: event.clientX - box.left, y: event.clientY - box.top, width: PEN * box.height * force };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    clearTimeout(timer);
    stroke = { id: event.pointerId, points: [point(event)] };
    strokes.push(stroke);
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke?.id !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    stroke.points.push(...(events.length ? events : [event]).map(point));
    redraw();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (stroke?.id !== event.pointerId) return;
      stroke = null;
      changed();
    });
  }
  const undo = () => {
    strokes.pop();
    changed();
  };
  $("pad-undo").addEventListener("click", undo);
  $("pad-clear").addEventListener("click", () => {
    strokes = [];
    changed();
  });
  const open = (shown) => {
    $("pad").hidden = !shown;
    $("draw").setAttribute("aria-expanded", String(shown));
    // What is around the pad must not move under the pen once there is a reading.
    const { dataset } = document.body;
    if (shown && dataset.state === "empty") dataset.state = "writing";
    if (!shown && dataset.state === "writing") dataset.state = "empty";
    if (shown) redraw();
  };
  $("draw").addEventListener("click", () => open($("pad").hidden));
  $("pad-close").addEventListener("click", () => {
    open(false);
    $("draw").focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    if (!$("pad").hidden && !typing && (event.ctrlKey || event.metaKey) && event.key === "z") {
      event.preventDefault();
      undo();
    }
  });
  window.addEventListener("resize", () => $("pad").hidden || redraw());
}

const padHeight = () => Math.min(220, Math.max(150, window.innerHeight * 0.3));

/** Return the writing with some paper around it, in the pixels of this screen. */
function pictureOf(strokes, canvas) {
  const scale = canvas.width / canvas.clientWidth;
  const columns = strokes.flatMap(({ points }) => points.map((point) => point.x));
  const margin = 0.25 * canvas.clientHeight;
  const left = Math.max(0, Math.min(...columns) - margin) * scale;
  const right = Math.min(canvas.width, (Math.max(...columns) + margin) * scale);
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [Math.ceil(right - left), canvas.height];
  picture.getContext("2d").drawImage(canvas, -Math.floor(left), 0);
  return picture;
}

function paint(context, { points }) {
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#111";
  let [last] = points;
  for (const next of points.length > 1 ? points.slice(1) : points) {
    context.lineWidth = next.width;
    context.beginPath();
    context.moveTo(last.x, last.y);
    context.lineTo(next.x + (next === last ? 0.01 : 0), next.y);
    context.stroke();
    last = next;
  }
}
