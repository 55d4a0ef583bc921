// A review: rows one after the other, without waiting for the server.

import { get, newId, post, Refused } from "./api.js";
import { Carpet } from "./carpet.js";
import { Editor } from "./editor.js";
import { load } from "./picture.js";
import { Saver } from "./saving.js";
import { drawSummary } from "./summary.js";
import {
  $, drawNote, drawProgress, drawRow, drawSaving, drawValue, show, speakRow,
} from "./view.js";

const AHEAD = 8; // rows that are loaded before they are needed
const FEW = 6; // rows ahead, below which more are fetched
const POLL = 4000; // milliseconds between looks for more, where there is nothing to do
const KEYS = { a: 0, s: 1, d: 2, f: 3 };
const COMMANDS = { nothing: "n", insert: "+", remove: "-", clear: "c", whole: "z" }; // of buttons
const OUTCOMES = { u: "unsure", x: "illegible", w: "wrong_crop" };

let saver;
let carpet;
let queue = []; // rows to come, the first of which is shown
let current = null;
let past = []; // what was done, for undoing
let progress = { done: 0, left: 0 };
let fetching = null;
let view = "row";
const checks = new Map(); // answers of the server on values, by row and text

async function start() {
  try {
    const first = await get("/api/tasks", { count: 2 });
    $("table").textContent = first.name;
    document.title = `Review · ${first.name}`;
    saver ??= new Saver(`${first.name} ${first.who}`, drawSaving, signIn);
    carpet ??= new Carpet(saver);
    if (saver.waiting.length) {
      await Promise.race([saver.flush(), new Promise((resolve) => setTimeout(resolve, 2000))]);
      take(await get("/api/tasks", { count: 2 }));
    } else {
      take(first);
    }
    open("row");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      signIn();
    } else {
      drawSaving(0, `The server does not answer: ${error.message}`);
      setTimeout(start, POLL);
    }
  }
}

function take(answer) {
  const known = new Set([...queue.map((each) => each.task.row), current?.task.row]);
  for (const task of answer.tasks) {
    if (!known.has(task.row)) {
      queue.push(entry(task));
    }
  }
  const unsaved = saver.waiting.filter((event) => event.row !== undefined).length;
  move(answer.progress, unsaved);
}

function move({ done, left }, rows) {
  progress = { done: Math.max(done + rows, 0), left: Math.max(left - rows, 0) };
  drawProgress(progress);
}

function entry(task) {
  const places = task.digits.map(([left, , right]) => (left + right) / 2);
  const made = {
    task,
    editor: new Editor(task.text, task.cursor, places),
    image: undefined, // null where it cannot be loaded
    shown: { whole: false, clear: false },
  };
  if ("allowed" in task) {
    checks.set(`${task.row} ${task.text}`, task.allowed);
  }
  task.choices.forEach((choice) => checks.set(`${task.row} ${choice.text}`, choice.allowed));
  load(task).then((image) => {
    made.image = image;
    if (current === made) {
      drawRow(made);
    }
  });
  return made;
}

function fetchMore() {
  if (fetching || queue.length >= FEW) {
    return;
  }
  const shown = [current, ...queue].filter(Boolean).map((each) => each.task.row);
  // What waits to be saved is still to do for the server.
  const waiting = saver.waiting.map((event) => event.row).filter((row) => row !== undefined);
  fetching = get("/api/tasks", { count: AHEAD, shown: [...shown, ...waiting].join(",") })
    .then(take)
    .catch(() => {}) // the saver says so
    .finally(() => {
      fetching = null;
      if (!current && queue.length && view === "row") {
        next();
      }
    });
}

function next() {
  current = queue.shift() ?? null;
  fetchMore();
  if (!current) {
    done();
    return;
  }
  Object.assign(current, { shownAt: performance.now(), hiddenFor: 0, strokes: 0, armed: false });
  current.hint = "";
  $("row").hidden = false;
  show("row");
  check();
  drawRow(current);
  speakRow(current);
  focusField();
}

function focusField() {
  if (!$("keys").open) {
    $("value").focus({ preventScroll: true });
  }
}

// Asks the server, by its own automata, whether the value satisfies the row's constraint.
function check() {
  const { task, editor } = current;
  current.armed = false;
  if (!task.constrained) {
    current.allowed = true;
    return null;
  }
  const key = `${task.row} ${editor.text}`;
  current.allowed = checks.get(key);
  const asked = current;
  if (current.allowed !== undefined) {
    return null;
  }
  return get("/api/check", { row: task.row, text: editor.text }).then(({ allowed }) => {
    checks.set(key, allowed);
    if (current === asked && key === `${task.row} ${editor.text}`) {
      current.allowed = allowed;
      drawNote(current);
    }
  }).catch(() => {});
}

function edited() {
  current.hint = "";
  current.checking = check();
  drawValue(current);
  drawNote(current);
}

async function confirm() {
  const asked = current;
  const { task, editor } = current;
  if (task.task !== "key" && !editor.touched) {
    current.hint = task.task === "decide" ? "Take one with its key, or type what you see."
      : "Type what you see; n where there are no digits.";
    drawNote(current);
    return;
  }
  if (current.allowed === undefined && current.checking) {
    const soon = new Promise((resolve) => setTimeout(resolve, 300));
    await Promise.race([current.checking, soon]);
    if (current !== asked) {
      return;
    }
  }
  if (current.allowed === false && !current.armed) {
    current.armed = true;
    drawNote(current);
    return;
  }
  act("text", editor.text);
}

function act(what, text = "") {
  const { task, shownAt, hiddenFor, strokes } = current;
  const event = {
    id: newId(),
    what,
    row: task.row,
    text,
    task: task.task,
    ms: Math.round(performance.now() - shownAt - hiddenFor),
    strokes,
  };
  past.push({ row: current, id: event.id });
  saver.add(event);
  move(progress, 1);
  next();
}

function undo() {
  if (current?.editor.undo()) {
    edited();
    return;
  }
  const last = past.pop();
  if (!last) {
    return;
  }
  saver.add({ id: newId(), what: "undo", undoes: last.id });
  move(progress, -1);
  if (current) {
    queue.unshift(current);
  }
  queue.unshift(last.row);
  next();
}

// Shows the whole page, or the picture with more contrast, or as it was.
async function toggle(what) {
  const asked = current;
  if (!current.task.crop || (what === "whole" && current.task.crop.whole)) {
    return;
  }
  const shown = { ...current.shown, [what]: !current.shown[what] };
  const image = await load(current.task, shown);
  if (image && current === asked) {
    Object.assign(current, { image, shown });
    drawRow(current);
  }
}

function command(key) {
  const { editor, task } = current;
  if (key >= "0" && key <= "9") {
    editor.type(key);
    edited();
  } else if (key in OUTCOMES) {
    act(OUTCOMES[key]);
  } else if (key in KEYS && KEYS[key] < task.choices.length) {
    editor.take(task.choices[KEYS[key]].text);
    edited();
  } else if (key === "n") {
    editor.take("");
    edited();
  } else if (key === "+") {
    editor.openGap();
    drawValue(current);
    drawNote(current);
  } else if (key === "-" || key === ".") {
    editor.remove();
    edited();
  } else if (key === "z") {
    toggle("whole");
  } else if (key === "c") {
    toggle("clear");
  } else {
    return false;
  }
  return true;
}

const MOVES = { ArrowLeft: -1, ArrowRight: 1, Home: -1000, End: 1000 };
const SAME = { Insert: "+", Delete: "-" };

function onKey(event) {
  if ($("keys").open || view === "sign-in" || event.isComposing) {
    return;
  }
  const undoing = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if ((event.ctrlKey || event.metaKey || event.altKey) && !undoing) {
    return;
  }
  if (event.repeat && !(event.key in MOVES) && !event.key.startsWith("Arrow")) {
    event.preventDefault(); // a key that is held would confirm rows that nobody saw
    return;
  }
  if (event.key === "?") {
    $("keys").showModal();
  } else if (view === "carpet") {
    if (!carpet.onKey(event, undoing)) {
      return;
    }
  } else if (undoing || event.key === "Backspace") {
    count();
    if (view === "summary") {
      open("row");
    }
    undo();
  } else if (view !== "row" || !current) {
    return;
  } else if (event.key === "Enter") {
    if (event.target.closest("button")) {
      return; // the button's own
    }
    count();
    confirm();
  } else if (event.key in MOVES) {
    count();
    current.editor.move(MOVES[event.key]);
    drawValue(current);
    drawNote(current);
  } else {
    const key = (SAME[event.key] ?? event.key).toLowerCase();
    if (key.length !== 1 || (key === " " && event.target.closest("button"))) {
      return; // Tab and the like
    }
    count();
    command(key);
    focusField();
  }
  event.preventDefault();
}

function count() {
  if (current) {
    current.strokes += 1;
  }
}

// What a keyboard on a screen types comes without keys.
function onInput(event) {
  event.preventDefault();
  if (!current) {
    return;
  }
  count();
  if (event.inputType === "deleteContentBackward") {
    undo();
  } else {
    [...(event.data ?? "")].forEach((key) => current && command(key.toLowerCase()));
  }
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button || !current || !$("row").contains(button)) {
    return;
  }
  count();
  const { act: action, choice } = button.dataset;
  if (choice !== undefined) {
    command(Object.keys(KEYS)[choice]);
  } else if (action === "confirm") {
    confirm();
  } else if (action === "undo") {
    undo();
  } else if (action in COMMANDS) {
    command(COMMANDS[action]);
  } else {
    act(action);
  }
  focusField();
}

// A click on a digit puts the cursor there.
function onPoint(event) {
  const spans = [...$("digits").children].filter((span) => /^\d$/.test(span.textContent));
  if (!current || !spans.length) {
    return;
  }
  const distances = spans.map((span) => {
    const box = span.getBoundingClientRect();
    return Math.abs((box.left + box.right) / 2 - event.clientX);
  });
  current.editor.move(distances.indexOf(Math.min(...distances)) - current.editor.cursor);
  setTimeout(() => current && drawValue(current));
}

async function done() {
  show("summary");
  $("summary-title").textContent = "Looking for more rows …";
  await saver.flush();
  await drawSummary(true).catch(() => {});
  if (view === "row" && !current) {
    $("summary-title").focus();
  }
}

function open(wanted) {
  view = wanted;
  if (view === "row" && current) {
    show("row");
    drawRow(current);
    focusField();
  } else if (view === "row") {
    next();
  } else if (view === "carpet") {
    show("carpet");
    carpet.open();
  } else {
    show("summary");
    drawSummary(false).then(() => $("summary-title").focus()).catch(() => {});
  }
}

function signIn() {
  view = "sign-in";
  show("sign-in");
  $("token").focus();
  return new Promise(() => {}); // the page is loaded again
}

$("sign-in").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await post("/api/sign-in", { token: $("token").value });
    location.reload();
  } catch (error) {
    $("sign-in-note").textContent = error.message;
  }
});

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
$("value").addEventListener("beforeinput", onInput);
$("value").addEventListener("pointerdown", onPoint);
$("to-rows").addEventListener("click", () => open("row"));
$("to-carpet").addEventListener("click", () => open("carpet"));
$("to-summary").addEventListener("click", () => open("summary"));
$("to-keys").addEventListener("click", () => $("keys").showModal());
$("keys").addEventListener("close", () => view === "row" && current && focusField());
addEventListener("resize", () => view === "row" && current && drawRow(current));
let hiddenSince = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenSince = performance.now();
  } else if (current) {
    current.hiddenFor += performance.now() - Math.max(hiddenSince, current.shownAt);
  }
});
setInterval(() => {
  if (view === "row" && !current && saver && !saver.waiting.length) {
    fetchMore();
  }
}, POLL);
start();
