// The page: what happens from an image to its reading, and the states on the way.

import { getModel, isReady, listForms, Offline, recognize, recognizeForm, Refused, token } from "./api.js";
import { asParameters, markFault, offerRates, onChange, options } from "./constraints.js";
import { $, el } from "./dom.js";
import { formSentence, showForm } from "./forms.js";
import { onWriting } from "./pad.js";
import { asSentence, showReading } from "./reading.js";
import { asCurl, asPython } from "./snippets.js";
import { onImage } from "./sources.js";
import { drawStrip } from "./strip.js";

const POLL = 2000; // milliseconds, between looks whether a server is back
const TIFF = [0x4949, 0x4d4d]; // the first two bytes of files that have pages

let image = null; // { blob, name, bitmap }
let result = null; // of the latest reading
let rate = null; // of errors that it tolerates
let model = null;
let whole = false; // whether the whole image is shown
let mark = () => {};
let running = null; // the reading in progress
let waiting = null; // the timer of the next look at a server that is gone

async function read(blob, name) {
  if (!blob) return offline();
  const mine = (image = { blob, name, bitmap: null });
  const bitmap = await createImageBitmap(blob).catch(() => null);
  const head = new DataView(await blob.slice(0, 2).arrayBuffer());
  if (image !== mine) return; // another one was taken meanwhile
  image.bitmap = bitmap;
  whole = false;
  $("page-field").hidden = head.byteLength < 2 || !TIFF.includes(head.getUint16(0));
  $("page").value = "1";
  await readAgain();
}

async function readAgain() {
  const wanted = options();
  running?.abort();
  if (!image) return;
  if (!wanted) return doubtful("This is not of a form that is allowed: see what is marked.");
  const mine = (running = new AbortController());
  const slow = setTimeout(() => state("reading", "Reading …"), 120);
  try {
    const form = $("form-name").value;
    const found = form
      ? await recognizeForm(image.blob, { formName: form }, wanted, mine.signal)
      : await recognize(image.blob, wanted, mine.signal);
    if (mine.signal.aborted) return;
    [result, rate] = [found, wanted.acceptErrors];
    if (form) showPage();
    else show();
  } catch (error) {
    if (!mine.signal.aborted) failed(error);
  } finally {
    clearTimeout(slow);
  }
}

/** Show a page of a form. */
function showPage() {
  const { response } = result;
  $("notice").hidden = $("reading").hidden = true;
  $("form-reading").hidden = false;
  $("fault").textContent = "";
  $("form-reading").inert = false;
  const unsure = (response.fields ?? []).some((field) => field.decision !== "DECISION_ACCEPT");
  state(unsure ? "unsure" : "read", formSentence(response));
  showForm($("form-reading"), result, image.bitmap);
}

function show() {
  const { response } = result;
  const unsure = response.decision === "DECISION_REVIEW";
  $("notice").hidden = $("form-reading").hidden = true;
  $("reading").hidden = false;
  $("fault").textContent = "";
  $("reading").inert = false;
  state(unsure ? "unsure" : "read", asSentence(response));
  draw();
  showReading(result, model, rate, (index) => mark(index));
  const parameters = asParameters();
  $("curl").textContent = asCurl(image.name, parameters, Boolean(token.get()));
  $("python").textContent = asPython(image.name, parameters);
}

function draw() {
  mark = drawStrip(image.bitmap, result.response, whole);
}

function failed(error) {
  if (error instanceof Offline) return offline();
  if (!(error instanceof Refused)) throw error;
  if (error.status === 401) return refused("A token is needed", sentence(error.message), { asksToken: true });
  if (error.status === 429 || error.status === 503) {
    setTimeout(readAgain, 1000 * Math.max(error.retryAfter, 1));
    return refused("The server is busy", "The image is read as soon as there is room.");
  }
  if (markFault(error.field)) return doubtful(sentence(error.message));
  refused("Not read", sentence(error.message));
}

/** Say what is wrong with what is known of the string; the last reading stays, and fades. */
function doubtful(text) {
  $("fault").textContent = text;
  $("notice").hidden = true;
  $("reading").inert = $("form-reading").inert = true;
  document.body.dataset.state = "refused";
}

function refused(title, text, { asksToken = false } = {}) {
  notice(title, text);
  $("token-form").hidden = !asksToken;
  state("refused", `${title}. ${text}`);
  if (asksToken) $("token").focus();
}

function offline() {
  notice("The server does not answer", "It may have been stopped. Once it answers, the image is read.");
  $("retry").hidden = false;
  state("offline", "The server does not answer.");
  clearTimeout(waiting);
  waiting = setTimeout(lookAgain, POLL);
}

async function lookAgain() {
  if (document.body.dataset.state !== "offline") return;
  if (!(await isReady())) {
    waiting = setTimeout(lookAgain, POLL);
    return;
  }
  greet();
  if (image) return readAgain();
  $("notice").hidden = true;
  state("empty", "The server is back.");
}

function notice(title, text) {
  $("reading").hidden = $("form-reading").hidden = true;
  $("notice").hidden = false;
  $("notice-title").textContent = title;
  $("notice-text").textContent = text;
  $("token-form").hidden = $("retry").hidden = true;
}

/** Set what the page looks like, and say so to those who cannot see it. */
function state(name, said) {
  document.body.dataset.state = name;
  $("status").textContent = said;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

/** Say which model reads. */
async function greet() {
  try {
    model = await getModel();
    offerRates(model.calibration?.thresholds ?? []);
    const digest = el("code", "", model.digest.slice(0, 8));
    digest.title = model.digest;
    $("server").replaceChildren(`Version ${model.version}`, el("span", "model", ", model ", digest));
  } catch {
    $("server").replaceChildren();
  }
  offerForms(await listForms().catch(() => []));
}

/** Let a form be chosen, if the server has any; the choice stays if it is still there. */
function offerForms(forms) {
  const chosen = $("form-name").value;
  const options = forms.map(({ name, form }) => new Option(name === form ? name : `${form} (${name})`, name));
  $("form-name").replaceChildren(new Option("one string of digits", ""), ...options);
  $("form-name").value = forms.some(({ name }) => name === chosen) ? chosen : "";
  document.body.classList.toggle("as-form", Boolean($("form-name").value));
  $("form-field").hidden = !forms.length;
}

onImage(read);
onWriting(read);
onChange(readAgain);
$("form-name").addEventListener("change", () => {
  document.body.classList.toggle("as-form", Boolean($("form-name").value));
  readAgain();
});
$("retry").addEventListener("click", readAgain);
$("whole").addEventListener("click", () => {
  whole = !whole;
  draw();
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set($("token").value.trim());
  greet();
  readAgain();
});
for (const button of document.querySelectorAll("[data-copy]")) {
  const name = button.textContent;
  button.addEventListener("click", async () => {
    const text = $(button.dataset.copy);
    const copied = await navigator.clipboard?.writeText(text.textContent).then(() => true, () => false);
    if (!copied) getSelection().selectAllChildren(text); // where there is no clipboard without TLS
    button.textContent = $("status").textContent = copied ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => (button.textContent = name), 1600);
  });
}
new ResizeObserver(() => result && !$("reading").hidden && draw()).observe($("scroll"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => result && !$("reading").hidden && draw());
greet();
