// Draws a row. What comes from tables and files is put in as text, never as HTML.

import { size } from "./picture.js";

const KEYS = ["a", "s", "d", "f"]; // of other values
const LARGEST = 46; // pixels of a digit in the field
const SMALLEST = 15;
const REASONS = {
  NOTHING_SEEN: "Traces of ink, too faint for the machine",
  SECOND_LINE: "Several lines of ink; the machine read one",
  UNEXPLAINED_INK: "Ink that no digit explains",
  STRUCK_OUT: "A line goes through the digits",
  CUT_OFF: "Digits go on beyond an edge",
  CONSTRAINT: "The machine found nothing that satisfies the constraint",
};

export const $ = (id) => document.getElementById(id);

export function element(name, { text, ...properties } = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  if (text !== undefined) {
    made.textContent = text;
  }
  made.append(...children);
  return made;
}

export function show(view) {
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = section.id !== view;
  }
  for (const [id, of] of [["to-rows", "row"], ["to-carpet", "carpet"], ["to-summary", "summary"]]) {
    if (of === view) {
      $(id).setAttribute("aria-current", "page");
    } else {
      $(id).removeAttribute("aria-current");
    }
  }
}

// Draws a row: its picture, under which the digits stand each in its place, and what can be done.
export function drawRow(current) {
  const { task } = current;
  const room = { width: $("row").clientWidth - 10, height: Math.max(innerHeight * 0.38, 120) };
  const { whole } = current.shown;
  const crop = whole ? { width: current.image.naturalWidth, height: current.image.naturalHeight }
    : task.crop;
  const digits = whole ? [] : task.digits;
  const pixels = crop ? size(crop.width, crop.height, digits, room)
    : { width: Math.min(room.width, 480), height: 96 };
  $("picture").style.width = $("field").style.width = `${pixels.width}px`;
  $("picture").style.height = `${pixels.height}px`;
  $("field").style.minWidth = `${Math.min(room.width, 220)}px`;
  const isLoading = current.image === undefined && task.crop;
  const content = current.image ?? element("p", {
    text: isLoading ? "" : task.trouble || "This scan cannot be shown",
  });
  $("picture").replaceChildren(content);
  $("name").textContent = task.name === task.source && task.page === 1 ? task.name
    : `${task.name} · ${task.name === task.source ? "" : `${task.source}, `}page ${task.page}`;
  document.querySelector("[data-act=whole]").parentElement.hidden = !crop || task.crop.whole;
  document.querySelector("[data-act=clear]").parentElement.hidden = !crop;
  drawValue(current);
  drawChoices(current);
  drawNote(current);
}

// Says a row to those who do not see it change.
export function speakRow({ task, editor }) {
  const digits = editor.digits.join(" ") || "no digits";
  $("spoken").textContent = task.task === "key"
    ? `${task.name}, read as ${digits}; digit ${editor.cursor + 1} is the least sure`
    : task.name;
}

export function drawValue(current) {
  const { task, editor } = current;
  const width = $("field").clientWidth;
  const offset = (width - $("picture").clientWidth) / 2;
  const placed = editor.places && !current.shown.whole;
  const positions = placed ? editor.places.map((place) => offset + place * $("picture").clientWidth)
    : evenly(editor.digits.length, width);
  const nearest = Math.min(...positions.slice(1).map((at, index) => at - positions[index]), 60);
  const font = Math.max(Math.min(nearest * 1.35, LARGEST), SMALLEST);
  const spans = editor.digits.map((digit, index) => {
    const span = element("span", { text: digit });
    span.classList.toggle("least", placed && !editor.touched && index === task.cursor
      && task.task === "key");
    span.classList.toggle("changed", task.task === "key" && digit !== editor.original[index]
      && editor.digits.length === editor.original.length);
    span.classList.toggle("cursor", index === editor.cursor && !editor.gap);
    span.style.left = `${positions[index]}px`;
    return span;
  });
  if (editor.gap || (editor.cursor === editor.digits.length && editor.digits.length)) {
    const [before, after] = [positions[editor.cursor - 1], positions[editor.cursor]];
    const gap = element("span", { className: "cursor gap" });
    const at = before === undefined ? after - font * 0.6
      : after === undefined ? before + font * 0.7 : (before + after) / 2;
    gap.style.left = `${Math.max(10, Math.min(at, width - 10))}px`;
    spans.push(gap);
  }
  if (!editor.digits.length) {
    const empty = task.task === "key" || editor.touched ? "no digits" : "type what you see";
    spans.push(element("span", { className: "none", text: empty }));
  }
  $("digits").style.fontSize = `${font}px`;
  $("digits").replaceChildren(...spans);
  $("value").value = editor.text;
  $("value").setSelectionRange(editor.cursor, editor.cursor);
  drawMark(current, placed);
  const cursor = spans[editor.cursor];
  if (cursor && $("stage").scrollWidth > $("stage").clientWidth) {
    const left = positions[editor.cursor] - $("stage").clientWidth / 2;
    $("stage").scrollLeft = left;
  }
}

// Marks, in the picture, the digit that is under the cursor.
function drawMark({ task, editor }, placed) {
  $("picture").querySelector(".at")?.remove();
  const digits = placed && task.digits.length === editor.digits.length ? task.digits : [];
  const box = digits[editor.cursor];
  if (box) {
    const mark = element("div", { className: "at" });
    const [left, top, right, bottom] = box.map((edge) => Math.max(0, Math.min(edge, 1)) * 100);
    Object.assign(mark.style, {
      left: `${left}%`,
      top: `${top}%`,
      width: `${right - left}%`,
      height: `${bottom - top}%`,
    });
    $("picture").append(mark);
  }
}

function evenly(count, width) {
  const step = Math.min(34, (width - 24) / Math.max(count, 1));
  return [...Array(count).keys()].map((index) => width / 2 + (index - (count - 1) / 2) * step);
}

function drawChoices({ task, editor }) {
  $("choices").replaceChildren(...task.choices.map((choice, index) => {
    const other = task.task === "decide" ? task.choices[index ? 0 : 1]?.text ?? "" : editor.original;
    const value = element("span", { className: choice.allowed ? "" : "broken" },
      choice.text ? differing(choice.text, other) : ["no digits"]);
    const button = element("button", { type: "button" }, [element("kbd", { text: KEYS[index] }), value]);
    button.dataset.choice = index;
    return element("li", {}, [button]);
  }));
}

// The digits of a value; those that another one does not have in their place are bold.
function differing(text, other) {
  return [...text].map((digit, index) =>
    text.length === other.length && digit !== other[index] ? element("b", { text: digit }) : digit);
}

export function drawNote({ task, editor, allowed, armed, hint }) {
  let [text, strong] = ["", false];
  if (hint) {
    [text, strong] = [hint, true];
  } else if (allowed === false && (task.task === "key" || editor.touched)) {
    text = armed ? "This breaks the constraint. Enter again keeps it all the same."
      : "This breaks the constraint.";
    strong = true;
  } else if (editor.gap) {
    text = "The next digit is put in before the cursor.";
  } else if (task.task === "decide") {
    const others = task.others.map((what) => what.replace("_", " "));
    text = ["These values were given.", ...(others.length ? [`Somebody says: ${others}.`] : []),
      "Take one, or type what you see."].join(" ");
  } else if (task.task === "key" && task.reasons) {
    text = task.reasons.map((reason) => REASONS[reason]).filter(Boolean).join(" · ");
  }
  $("note").textContent = text;
  $("note").classList.toggle("strong", strong);
}

export function drawProgress({ done, left }) {
  $("bar").max = Math.max(done + left, 1);
  $("bar").value = done;
  $("count").textContent = `${done} done, ${left} to go`;
}

export function drawSaving(waiting, why) {
  const rows = waiting === 1 ? "1 change" : `${waiting} changes`;
  $("saving").textContent = why === "offline"
    ? `The server does not answer. ${rows} kept in this browser; go on, it is tried again.` : why;
}
