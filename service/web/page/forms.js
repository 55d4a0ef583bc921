// A page of a form: where its fields are, and what stands in each.

import { el, drawn, sized } from "./dom.js";
import { trust } from "./strip.js";
import { bare, milliseconds, percent, reason } from "./words.js";

const MOST = 640; // CSS pixels of the page's width
const CROP = { width: 220, height: 36 }; // CSS pixels of a field's picture, at most
const KINDS = { accept: "accepted", review: "to be reviewed", lost: "not read", plain: "read" };

/**
 * Show a page of a form in an element.
 *
 * `bitmap` is the page, or null where the browser cannot show it.
 */
export function showForm(place, { response, total }, bitmap) {
  const fields = response.fields ?? [];
  const shown = fields.some((field) => field.polygon) && bitmap;
  const rows = fields.map((field) => rowOf(field, bitmap));
  const figure = shown ? pageOf(fields, bitmap, rows) : null;
  place.replaceChildren(
    el("div", "form-verdict", el("h2", "", titleOf(response)), el("p", "", factsOf(response, total))),
    el("div", "form-parts", ...(figure ? [figure] : []), tableOf(rows)),
  );
}

/** Return what became of a page as a sentence, for those who hear it. */
export function formSentence(response) {
  const fields = response.fields ?? [];
  const unread = fields.filter((field) => kindOf(field) === "lost").length;
  if (unread === fields.length && unread) return `${titleOf(response)}.`;
  const review = fields.filter((field) => kindOf(field) === "review").length;
  return `${titleOf(response)}: ${fields.length} fields, ${review} to be reviewed, ${unread} not read.`;
}

const isFound = ({ registration }) => registration?.status === "REGISTRATION_STATUS_REGISTERED";

function titleOf(response) {
  return isFound(response) ? `${response.form}: found in the page` : `${response.form}: not found in the page`;
}

function factsOf({ registration = {} }, total) {
  const { residualMm, inliers, why } = registration;
  const facts = [
    why && why.charAt(0).toUpperCase() + why.slice(1),
    residualMm !== undefined && `print is ${residualMm.toFixed(2)} mm off`,
    inliers !== undefined && `${percent(inliers)} of it in its place`,
    milliseconds(total),
  ];
  return facts.filter(Boolean).join(" · ");
}

/** Return what a field's colors say: accept, review, lost, or plain where nobody decided. */
function kindOf({ status, decision }) {
  if (status === "FIELD_STATUS_MISREGISTERED") return "lost";
  return { ACCEPT: "accept", REVIEW: "review" }[bare(decision, "DECISION_")] ?? "plain";
}

function tableOf(rows) {
  const heads = ["Field", "As written", "Reading"];
  const head = el("tr", "", ...heads.map((each) => Object.assign(el("th", "", each), { scope: "col" })));
  const table = el("table", "fields", el("caption", "hidden", "Fields"), el("thead", "", head));
  table.append(el("tbody", "", ...rows));
  const scroll = el("div", "fields-scroll", table);
  [scroll.tabIndex, scroll.role, scroll.ariaLabel] = [0, "group", "The fields and their readings"];
  return scroll;
}

function rowOf(field, bitmap) {
  const kind = kindOf(field);
  const name = Object.assign(el("th", "", field.name), { scope: "row" });
  const { reading, reviewReasons = [] } = field;
  const sure = reading ? ` ${percent(reading.confidence)} sure` : "";
  const picture = el("td", "crop");
  if (bitmap && field.polygon) picture.append(cropOf(field, bitmap));
  const said = el("td", "", el("span", "reading-of", ...textOf(field)), el("span", `pill ${kind}`, KINDS[kind]));
  said.append(el("span", "how-sure", sure), ...reviewReasons.map((each) => el("small", "", reason(each))));
  return el("tr", kind, name, picture, said);
}

function textOf({ reading, status }) {
  if (!reading) return [el("span", "nothing", "–")];
  if (!reading.text) return [el("span", "nothing", status === "FIELD_STATUS_BLANK" ? "blank" : "no digits")];
  const digits = [...(reading.digits ?? [])];
  return [...reading.text].map((letter) =>
    el("span", /\d/.test(letter) ? trust(digits.shift()?.confidence) : "literal", letter),
  );
}

/** Return a field's part of the page, made straight. */
function cropOf({ name, polygon }, bitmap) {
  const [a, b, , d] = polygon.map(({ x = 0, y = 0 }) => ({ x, y }));
  const [width, height] = [Math.hypot(b.x - a.x, b.y - a.y), Math.hypot(d.x - a.x, d.y - a.y)];
  const zoom = Math.min(CROP.width / width, CROP.height / height);
  const canvas = el("canvas");
  const context = sized(canvas, Math.max(1, width * zoom), Math.max(1, height * zoom));
  canvas.role = "img";
  canvas.ariaLabel = `${name}, as it is written`;
  const along = { x: (b.x - a.x) / width, y: (b.y - a.y) / width };
  const down = { x: (d.x - a.x) / height, y: (d.y - a.y) / height };
  const area = along.x * down.y - along.y * down.x;
  context.scale(zoom, zoom); // the inverse of the map from the crop to the page comes next
  context.transform(down.y / area, -along.y / area, -down.x / area, along.x / area, 0, 0);
  context.translate(-a.x, -a.y);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0);
  return canvas;
}

function pageOf(fields, bitmap, rows) {
  const canvas = Object.assign(el("canvas"), { role: "img", ariaLabel: "The page with its fields" });
  const width = Math.min(MOST, bitmap.width);
  const context = sized(canvas, width, (width * bitmap.height) / bitmap.width);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, (width * bitmap.height) / bitmap.width);
  canvas.style.width = canvas.style.height = "";
  const boxes = drawn("svg", { viewBox: `0 0 ${bitmap.width} ${bitmap.height}`, "aria-hidden": "true" });
  fields.forEach((field, index) => {
    if (!field.polygon) return;
    const points = field.polygon.map(({ x = 0, y = 0 }) => `${x},${y}`).join(" ");
    const box = drawn("polygon", { points, class: kindOf(field) }, drawn("title", {}, field.name));
    for (const [one, other] of [[box, rows[index]], [rows[index], box]]) {
      one.addEventListener("pointerenter", () => other.classList.add("marked"));
      one.addEventListener("pointerleave", () => other.classList.remove("marked"));
    }
    box.addEventListener("click", () => rows[index].scrollIntoView({ block: "center" }));
    boxes.append(box);
  });
  const keys = ["accept", "review", "lost", "plain"].filter((kind) => fields.some((each) => kindOf(each) === kind));
  const legends = keys.map((kind) => el("span", "legend", el("i", `key ${kind}`), KINDS[kind]));
  return el("figure", "page-view", el("div", "page-track", canvas, boxes), el("figcaption", "", ...legends));
}
