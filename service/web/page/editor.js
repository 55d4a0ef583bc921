// The editor: boxes drawn on the scan of an empty form, to a template.

import { Offline, recognizeForm, Refused, base64 } from "./api.js";
import { $, drawn, el, sized } from "./dom.js";
import { formSentence, showForm } from "./forms.js";
import { asToml } from "./toml.js";
import { checkOptions } from "./words.js";

const PAPERS = [[210, 297], [215.9, 279.4], [148, 105], [105, 148]]; // mm: A4, Letter, A6
const LIKE = 0.015; // by which a scan's shape may differ from a paper's
const SMALLEST = 2; // mm: a stroke of the pointer that is shorter draws nothing
const NEW = [10, 10, 40, 8]; // mm: a box that is added by keyboard
const MARK = [5, 5, 5, 5];
const RATE = 0.01; // of errors that is tolerated when a page is tried

const form = { file: null, bitmap: null, fields: [], marks: [] };
let drag = null; // of a box: { item, box, at, resizing }

async function open(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return fault(`This browser cannot show ${file.name}: choose a PNG, JPEG, WebP or BMP.`);
  Object.assign(form, { file, bitmap });
  const saved = recall();
  const [width, height] = saved?.size ?? sizeOf(bitmap);
  $("name").value = saved?.name ?? file.name.replace(/\.[^.]*$/, "");
  [$("width").value, $("height").value] = [width, height];
  $("by").value = saved?.by ?? "features";
  for (const kind of ["fields", "marks"]) {
    form[kind] = [];
    $(kind).replaceChildren();
    for (const each of saved?.[kind] ?? []) add(kind, each);
  }
  fault("");
  $("editor").hidden = false;
  document.body.dataset.state = "read";
  drawSheet();
  changed();
}

/** Return the size of the page in mm: of the paper that has its shape, else as wide as A4. */
function sizeOf({ width, height }) {
  const turned = [...PAPERS, ...PAPERS.map(([one, other]) => [other, one])];
  const paper = turned.find(([one, other]) => Math.abs((one * height) / (other * width) - 1) < LIKE);
  return paper ?? [210, round((210 * height) / width)];
}

function drawSheet() {
  const width = Math.min(900, form.bitmap.width);
  const height = (width * form.bitmap.height) / form.bitmap.width;
  const context = sized($("sheet"), width, height);
  $("sheet").style.width = $("sheet").style.height = "";
  context.imageSmoothingQuality = "high";
  context.drawImage(form.bitmap, 0, 0, width, height);
}

const sizes = () => [Number($("width").value) || 1, Number($("height").value) || 1];
const round = (value) => Math.round(value * 10) / 10;

/** Add a field or a mark: its box, its row, and what both change. */
function add(kind, values) {
  const item = { kind, ...values, inputs: {} };
  item.shape = drawn("rect", { class: kind === "marks" ? "mark" : "box", rx: 0.3 });
  item.handle = drawn("rect", { class: "handle", width: 1, height: 1 });
  item.row = rowOf(item);
  form[kind].push(item);
  $(kind).append(item.row);
  return item;
}

function rowOf(item) {
  const names = ["Left", "Top", "Width", "Height"];
  const places = names.map((name, index) => {
    const input = inputOf(item, `${name}, mm`, item.box[index], (value) => (item.box[index] = Number(value) || 0));
    [input.type, input.step, input.min] = ["number", "any", "0"];
    item.inputs[index] = input;
    return input.closest(".field");
  });
  const remove = el("button", "button small", "Delete");
  remove.type = "button";
  remove.addEventListener("click", () => {
    form[item.kind] = form[item.kind].filter((each) => each !== item);
    item.row.remove();
    changed();
    $("add").focus();
  });
  const row = el("li", "", el("div", "places", ...places));
  if (item.kind === "fields") row.prepend(...knownOf(item));
  row.append(remove);
  remove.ariaLabel = item.kind === "fields" ? `Delete ${item.name}` : "Delete the mark";
  row.addEventListener("focusin", () => mark(item));
  row.addEventListener("pointerenter", () => mark(item));
  return row;
}

/** Return the inputs of what is known of a field. */
function knownOf(item) {
  const text = (name, key, placeholder) => {
    const input = inputOf(item, name, item[key], (value) => (item[key] = value.trim()));
    [input.placeholder, input.spellcheck] = [placeholder, false];
    return input.closest(".field");
  };
  const check = el("select");
  check.append(...checkOptions());
  const blank = el("input");
  [blank.type, blank.checked] = ["checkbox", item.blank];
  blank.addEventListener("change", () => {
    item.blank = blank.checked;
    changed();
  });
  return [
    text("Name", "name", ""),
    el(
      "div",
      "known",
      text("Number of digits", "length", "any: 5, 3-7"),
      text("Printed cells", "comb", "none"),
      text("Pattern", "pattern", "any"),
      labeled("Check digit", check, item.check, (value) => (item.check = value)),
    ),
    el("label", "tick", blank, "may be left blank"),
  ];
}

const inputOf = (item, name, value, set) => {
  const input = el("input");
  labeled(name, input, value, set);
  return input;
};

/** Label an input, and follow it; returns both. */
function labeled(name, input, value, set) {
  input.id = `input-${(labeled.made = (labeled.made ?? 0) + 1)}`;
  input.value = value;
  input.addEventListener("input", () => {
    set(input.value);
    changed();
  });
  return el("div", "field", Object.assign(el("label", "", name), { htmlFor: input.id }), input);
}

function mark(item) {
  for (const each of [...form.fields, ...form.marks]) {
    each.shape.classList.toggle("marked", each === item);
    each.row.classList.toggle("marked", each === item);
  }
}

/** Draw the boxes where they are now, write the template, and keep both. */
function changed() {
  const [width, height] = sizes();
  $("boxes").setAttribute("viewBox", `0 0 ${width} ${height}`);
  const corners = $("by").value === "corners";
  const items = [...form.fields, ...(corners ? form.marks : [])];
  for (const item of items) {
    const [left, top, wide, high] = item.box;
    const side = Math.min(2.5, wide / 2, high / 2);
    set(item.shape, { x: left, y: top, width: wide, height: high });
    set(item.handle, { x: left + wide - side / 2, y: top + high - side / 2, width: side, height: side });
  }
  $("boxes").replaceChildren(...items.flatMap(({ shape, handle }) => [shape, handle]));
  $("no-fields").hidden = form.fields.length > 0;
  $("add-mark").hidden = $("marks").hidden = $("mark-hint").hidden = !corners;
  $("toml").textContent = template();
  keep();
}

const set = (element, attributes) => {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, Math.max(0, value));
};

function template() {
  const [width, height] = sizes();
  const sides = form.marks.map(({ box }) => (box[2] + box[3]) / 2);
  return asToml({
    name: $("name").value.trim(),
    reference: form.file.name,
    width,
    height,
    by: $("by").value,
    marks: form.marks.map(({ box: [left, top, wide, high] }) => [round(left + wide / 2), round(top + high / 2)]),
    side: round(sides.reduce((sum, each) => sum + each, 0) / Math.max(sides.length, 1)),
    fields: form.fields,
  });
}

// What was drawn comes back when the same scan is chosen again in this tab.
const key = () => `digitstrip-form:${form.file.name}:${form.file.size}`;

function keep() {
  const plain = ({ box, name, length, pattern, check, comb, blank }) => ({ box, name, length, pattern, check, comb, blank });
  const saved = { name: $("name").value, size: sizes(), by: $("by").value, fields: form.fields.map(plain), marks: form.marks.map(plain) };
  sessionStorage.setItem(key(), JSON.stringify(saved));
}

function recall() {
  const saved = sessionStorage.getItem(key());
  return saved && JSON.parse(saved);
}

const newField = (box) => {
  const taken = new Set(form.fields.map(({ name }) => name));
  let number = 1;
  while (taken.has(`field${number}`)) number++;
  return { box, name: `field${number}`, length: "", pattern: "", check: "", comb: "", blank: true };
};

/** Return where the pointer is, in mm, on the page. */
function place(event) {
  const box = $("boxes").getBoundingClientRect();
  const [width, height] = sizes();
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  return [
    within(((event.clientX - box.left) / box.width) * width, width),
    within(((event.clientY - box.top) / box.height) * height, height),
  ];
}

function begin(event) {
  if (event.button !== 0) return;
  event.preventDefault();
  $("boxes").setPointerCapture(event.pointerId);
  const at = place(event);
  const items = [...form.fields, ...form.marks];
  const item = items.find(({ shape, handle }) => event.target === shape || event.target === handle);
  drag = { item, at, box: item && [...item.box], resizing: !item || event.target === item.handle };
  if (item) mark(item);
}

function move(event) {
  if (!drag) return;
  const [x, y] = place(event);
  const [fromX, fromY] = drag.at;
  if (!drag.item) {
    if (Math.abs(x - fromX) < SMALLEST || Math.abs(y - fromY) < SMALLEST) return;
    const kind = $("by").value === "corners" && form.marks.length < 4 && looksLikeMark(x - fromX, y - fromY) ? "marks" : "fields";
    drag.item = add(kind, kind === "marks" ? { box: [...MARK] } : newField([...NEW]));
    mark(drag.item);
  }
  const { item, box } = drag;
  if (!box) {
    const [left, top] = [Math.min(x, fromX), Math.min(y, fromY)];
    put(item, [left, top, Math.abs(x - fromX), Math.abs(y - fromY)]);
  } else if (drag.resizing) {
    put(item, [box[0], box[1], Math.max(box[2] + x - fromX, 1), Math.max(box[3] + y - fromY, 1)]);
  } else {
    put(item, [Math.max(box[0] + x - fromX, 0), Math.max(box[1] + y - fromY, 0), box[2], box[3]]);
  }
}

/** Whether a box that is being drawn is small and square: a corner mark rather than a field. */
const looksLikeMark = (wide, high) => Math.max(Math.abs(wide), Math.abs(high)) < 12 && Math.abs(Math.abs(wide / high) - 1) < 0.4;

function put(item, box) {
  item.box = box.map(round);
  item.box.forEach((value, index) => (item.inputs[index].value = value));
  changed();
}

function end() {
  if (drag?.item && !drag.box) drag.item.row.scrollIntoView({ block: "nearest" });
  drag = null;
}

async function tryOn(file) {
  document.body.dataset.state = "reading";
  fault("");
  try {
    const which = { template: template(), reference: { encoded: await base64(form.file) } };
    const found = await recognizeForm(file, { form: which }, { page: 1, acceptErrors: RATE });
    const bitmap = await createImageBitmap(file).catch(() => null);
    $("tried").hidden = false;
    showForm($("tried"), found, bitmap);
    $("tried").scrollIntoView({ block: "start" });
    $("status").textContent = formSentence(found.response);
  } catch (error) {
    if (error instanceof Offline) fault("The server does not answer.");
    else if (error instanceof Refused) fault(error.message);
    else throw error;
  } finally {
    document.body.dataset.state = "read";
  }
}

function fault(text) {
  $("fault").textContent = text;
}

function download() {
  const link = el("a");
  link.href = URL.createObjectURL(new Blob([template()], { type: "application/toml" }));
  link.download = "form.toml";
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const [id, take] of [["blank", open], ["filled", tryOn]]) {
  $(id).addEventListener("change", () => {
    const [file] = $(id).files;
    if (file) take(file);
    $(id).value = ""; // so that the same file can be chosen again
  });
}
for (const id of ["name", "width", "height", "by"]) $(id).addEventListener("input", changed);
$("sheet-facts").addEventListener("submit", (event) => event.preventDefault());
$("add").addEventListener("click", () => {
  const { inputs, row } = add("fields", newField([...NEW]));
  changed();
  (row.querySelector("input") ?? inputs[0]).focus();
});
$("add-mark").addEventListener("click", () => {
  const { inputs } = add("marks", { box: [...MARK] });
  changed();
  inputs[0].focus();
});
$("download").addEventListener("click", download);
$("boxes").addEventListener("pointerdown", begin);
$("boxes").addEventListener("pointermove", move);
for (const name of ["pointerup", "pointercancel"]) $("boxes").addEventListener(name, end);
