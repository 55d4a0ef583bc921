// The image, the digits on it, and the ribbon of scores under it, all in one scale.

import { $, color, el, sized } from "./dom.js";
import { percent } from "./words.js";

const MIN_HEIGHT = 64; // CSS pixels of the image: a longer one scrolls
const MAX_HEIGHT = 260;
const MAX_ZOOM = 5;
const MARGIN = 0.35; // of the text's height, shown above and below it
const ROW = { narrow: 13, wide: 18 }; // height of a label's scores
const NARROW = 600;
const ASIDE = 56; // left and right of the track, for labels and space
const GAP = 1; // between cells
const FAINT = 0.02; // a probability that is not drawn
const SURE = 0.98; // a confidence that needs no second look
const ROOM = 34; // CSS pixels that a figure under a digit takes

/** Draw a reading; returns a function that marks one digit, or none. */
export function drawStrip(bitmap, response, whole) {
  const done = response.normalization;
  const size = { width: done.sourceWidth, height: done.sourceHeight };
  const crop = whole ? [0, size.height] : cropOf(response, size);
  const available = $("strip").clientWidth - ASIDE;
  const zoom = zoomOf(size.width, crop[1] - crop[0], available);
  const width = size.width * zoom;
  $("track").style.width = `${width}px`;
  drawImage(bitmap, response, crop, zoom, size);
  const marks = drawMarks(response, zoom, crop);
  drawRibbon(response, zoom, width, available < NARROW ? ROW.narrow : ROW.wide);
  $("whole").hidden = !(crop[0] > 0 || crop[1] < size.height || whole);
  $("whole").textContent = whole ? "Show the digits alone" : "Show the whole image";
  return (index) => marks.forEach((mark, each) => mark.classList.toggle("marked", each === index));
}

/** Return the rows to show: those of the text and some more, or all where that is not much less. */
function cropOf(response, { height }) {
  const band = response.normalization.textBand ?? {};
  const [top, bottom] = [band.top ?? 0, band.bottom ?? height];
  const more = MARGIN * (bottom - top);
  const rows = [Math.max(0, top - more), Math.min(height, bottom + more)];
  return rows[1] - rows[0] > 0.85 * height || rows[1] <= rows[0] ? [0, height] : rows;
}

function zoomOf(width, height, available) {
  const fitting = Math.min(available / width, MAX_HEIGHT / height, MAX_ZOOM);
  return Math.max(fitting, Math.min(MIN_HEIGHT / height, MAX_ZOOM));
}

function drawImage(bitmap, response, [top, bottom], zoom, size) {
  const canvas = $("image");
  const context = sized(canvas, size.width * zoom, (bottom - top) * zoom);
  canvas.setAttribute("aria-label", `The image, ${size.width} × ${size.height} pixels`);
  context.imageSmoothingQuality = "high";
  if (bitmap) {
    context.drawImage(bitmap, 0, top, size.width, bottom - top, 0, 0, size.width * zoom, (bottom - top) * zoom);
  } else {
    context.fillStyle = color("--sunken");
    context.fillRect(0, 0, size.width * zoom, (bottom - top) * zoom);
  }
  $("unshown").hidden = Boolean(bitmap);
  context.strokeStyle = color("--warn");
  context.setLineDash([4, 3]);
  context.lineWidth = 1.5;
  for (const box of response.normalization.ink?.unexplainedBoxes ?? []) {
    const [left, upper] = [(box.left ?? 0) * zoom, ((box.top ?? 0) - top) * zoom];
    context.strokeRect(left, upper, (box.right - (box.left ?? 0)) * zoom, (box.bottom - (box.top ?? 0)) * zoom);
  }
}

function drawMarks(response, zoom, [top]) {
  const { originX = 0, stepX = 0 } = response.scores?.centers ?? {};
  const centers = (response.digits ?? []).map((digit) => (originX + (digit.position ?? 0) * stepX) * zoom);
  const marks = (response.digits ?? []).map((digit, index) => {
    const { left = 0, right = 0, top: upper = 0, bottom = 0 } = digit.extent ?? {};
    const mark = el("li", trust(digit.confidence));
    const extent = el("span", "extent");
    place(extent, left * zoom, (upper - top) * zoom, (right - left) * zoom, (bottom - upper) * zoom);
    const label = el("span", "label", digit.label);
    label.style.left = `${centers[index]}px`;
    const room = Math.min(...[index - 1, index + 1].map((at) => Math.abs((centers[at] ?? Infinity) - centers[index])));
    if (trust(digit.confidence) === "unsure" && room > ROOM) label.append(el("small", "", percent(digit.confidence)));
    mark.append(extent, label);
    return mark;
  });
  $("marks").replaceChildren(...marks);
  $("marks").style.height = marks.length ? "" : "12px";
  return marks;
}

function drawRibbon(response, zoom, width, row) {
  const scores = response.scores ?? {};
  const { labels = [], positions = 0, logProbabilities = [], centers = {} } = scores;
  const canvas = $("ribbon");
  const context = sized(canvas, width, labels.length * row);
  canvas.setAttribute("aria-label", `The scores of ${labels.length} labels at ${positions} positions`);
  $("gutter").replaceChildren(...labels.map((label) => el("span", label === "none" ? "none" : "", label === "none" ? "–" : label)));
  $("gutter").style.lineHeight = `${row}px`;
  drawRows(context, labels.length, row, width);
  const cell = (centers.stepX ?? 0) * zoom;
  const colors = { won: color("--accent"), other: color("--warn"), none: color("--none") };
  const share = (at, index) => Math.exp(number(logProbabilities[at * labels.length + index]));
  const won = runs(response, positions, (at, label) => share(at, labels.indexOf(label)) >= FAINT);
  for (let at = 0; at < positions; at++) {
    const x = ((centers.originX ?? 0) + (at - 0.5) * (centers.stepX ?? 0)) * zoom;
    labels.forEach((label, index) => {
      const likely = share(at, index);
      if (likely < FAINT) return;
      context.globalAlpha = label === "none" ? likely : Math.sqrt(likely);
      context.fillStyle = label === "none" ? colors.none : won[at]?.has(label) ? colors.won : colors.other;
      context.fillRect(x + GAP / 2, index * row + GAP / 2, Math.max(cell - GAP, 1), row - GAP);
    });
  }
}

/** Return the labels that were read, by the position: a digit's run, and what fades out beside it. */
function runs(response, positions, seen) {
  const found = [];
  for (const { label, firstPosition = 0, lastPosition = 0 } of response.digits ?? []) {
    let [first, last] = [firstPosition, lastPosition];
    while (first > 0 && seen(first - 1, label)) first--;
    while (last + 1 < positions && seen(last + 1, label)) last++;
    for (let at = first; at <= last; at++) (found[at] ??= new Set()).add(label);
  }
  return found;
}

function drawRows(context, rows, row, width) {
  context.fillStyle = color("--panel");
  for (let index = 1; index < rows; index++) context.fillRect(0, index * row - 0.5, width, 1);
}

/** Return a number of ProtoJSON, in which infinities are texts. */
const number = (value) => (typeof value === "string" ? Number(value) : (value ?? 0));

export const trust = (confidence) => ((confidence ?? 0) < SURE ? "unsure" : "sure");

function place(element, left, top, width, height) {
  const style = { left, top, width, height };
  for (const [name, value] of Object.entries(style)) element.style[name] = `${value}px`;
}
