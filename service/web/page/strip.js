// The image, the digits on it, and the ribbon of scores under it, all in one scale.

import { $, color, el, sized } from "./dom.js";
import { percent } from "./words.js";

const MIN_HEIGHT = 48; // CSS pixels of the image: a longer one scrolls
const MAX_HEIGHT = 260;
const MAX_ZOOM = 5;
const MARGIN = 0.35; // of the text's height, shown above and below it; twice that beside it
const MOST = 0.8; // of the image, above which a side is shown whole
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
  const all = { left: 0, top: 0, right: size.width, bottom: size.height };
  const crop = whole ? all : cropOf(response, all);
  const available = $("strip").clientWidth - ASIDE;
  const zoom = zoomOf(crop.right - crop.left, crop.bottom - crop.top, available);
  const width = (crop.right - crop.left) * zoom;
  $("track").style.width = `${width}px`;
  drawImage(bitmap, response, crop, zoom, size);
  const marks = drawMarks(response, zoom, crop);
  drawRibbon(response, zoom, crop.left, width, available < NARROW ? ROW.narrow : ROW.wide);
  $("whole").hidden = crop === all && !whole;
  $("whole").textContent = whole ? "Show the digits alone" : "Show the whole image";
  return (index) => marks.forEach((mark, each) => mark.classList.toggle("marked", each === index));
}

/** Return what to show: the digits and some paper around them, or all where that is not much more. */
function cropOf(response, all) {
  const extents = (response.digits ?? []).map((digit) => digit.extent);
  if (!extents.length) return all;
  const band = { top: 0, ...response.normalization.textBand };
  const more = MARGIN * (band.bottom - band.top);
  const left = Math.max(0, Math.min(...extents.map((each) => each.left ?? 0)) - 2 * more);
  const right = Math.min(all.right, Math.max(...extents.map((each) => each.right)) + 2 * more);
  const rows = { top: Math.max(0, band.top - more), bottom: Math.min(all.bottom, band.bottom + more) };
  const wide = right - left > MOST * all.right;
  const high = rows.bottom - rows.top > MOST * all.bottom;
  if (wide && high) return all;
  return { ...all, ...(wide ? {} : { left, right }), ...(high ? {} : rows) };
}

function zoomOf(width, height, available) {
  const fitting = Math.min(available / width, MAX_HEIGHT / height, MAX_ZOOM);
  return Math.max(fitting, Math.min(MIN_HEIGHT / height, MAX_ZOOM));
}

function drawImage(bitmap, response, crop, zoom, size) {
  const canvas = $("image");
  const [width, height] = [crop.right - crop.left, crop.bottom - crop.top];
  const context = sized(canvas, width * zoom, height * zoom);
  canvas.setAttribute("aria-label", `The image, ${size.width} × ${size.height} pixels`);
  context.imageSmoothingQuality = "high";
  if (bitmap) {
    context.drawImage(bitmap, crop.left, crop.top, width, height, 0, 0, width * zoom, height * zoom);
  } else {
    context.fillStyle = color("--sunken");
    context.fillRect(0, 0, width * zoom, height * zoom);
  }
  $("unshown").hidden = Boolean(bitmap);
  context.strokeStyle = color("--warn");
  context.setLineDash([4, 3]);
  context.lineWidth = 1.5;
  for (const box of response.normalization.ink?.unexplainedBoxes ?? []) {
    const { left = 0, top = 0, right, bottom } = box;
    const at = [(left - crop.left) * zoom, (top - crop.top) * zoom];
    context.strokeRect(...at, (right - left) * zoom, (bottom - top) * zoom);
  }
}

function drawMarks(response, zoom, crop) {
  const { originX = 0, stepX = 0 } = response.scores?.centers ?? {};
  const centers = (response.digits ?? []).map(({ position = 0, extent }) => {
    const center = response.scores ? originX + position * stepX : ((extent.left ?? 0) + extent.right) / 2;
    return (center - crop.left) * zoom;
  });
  const marks = (response.digits ?? []).map((digit, index) => {
    const { left = 0, right = 0, top = 0, bottom = 0 } = digit.extent ?? {};
    const mark = el("li", trust(digit.confidence));
    const extent = el("span", "extent");
    place(extent, (left - crop.left) * zoom, (top - crop.top) * zoom, (right - left) * zoom, (bottom - top) * zoom);
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

function drawRibbon(response, zoom, left, width, row) {
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
    const x = ((centers.originX ?? 0) + (at - 0.5) * (centers.stepX ?? 0) - left) * zoom;
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
