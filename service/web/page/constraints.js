// What a person knows of the string: a form, and the options that it makes.

import { $ } from "./dom.js";
import { asRate, checkOptions } from "./words.js";

const LENGTH = /^(\d{1,9})(?:(-)(\d{1,9})?)?$/;
const RATE = /^(\d+(?:\.\d*)?|\.\d+)(%?)$/;
const OF_FIELDS = {
  "constraint.length": "length",
  "constraint.pattern": "pattern",
  "constraint.check_digit": "check",
  accepted_error_rate: "accept-errors",
  "image.page": "page",
};

$("check").replaceChildren(...checkOptions());

/** Return the options, or null where a field is malformed; it is marked then. */
export function options() {
  clearFaults();
  const length = lengthOf(value("length"));
  const acceptErrors = rateOf(value("accept-errors"));
  if (length === undefined) fault("length");
  if (acceptErrors === undefined) fault("accept-errors");
  if (length === undefined || acceptErrors === undefined) return null;
  return {
    length,
    acceptErrors,
    pattern: value("pattern"),
    check: value("check"),
    page: $("page-field").hidden ? 1 : Math.max(1, Math.round(Number(value("page"))) || 1),
  };
}

/** Return what is set, by the names of the command line and of /v1/read. */
export function asParameters() {
  const names = ["length", "pattern", "check", "accept-errors"];
  const pairs = names.map((name) => [name, value(name)]).filter(([, text]) => text);
  return $("page-field").hidden || value("page") === "1" ? pairs : [...pairs, ["page", value("page")]];
}

/** Mark the field that the server found fault with; return whether there is one. */
export function markFault(field) {
  const name = Object.entries(OF_FIELDS).find(([known]) => field.startsWith(known))?.[1];
  if (name) fault(name);
  return Boolean(name);
}

/** Call back soon after somebody has changed something. */
export function onChange(changed, milliseconds = 250) {
  let timer;
  $("constraints").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(changed, milliseconds);
  });
  $("constraints").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    changed();
  });
}

/** Offer the shares of errors that the model was calibrated for, and say where it was not. */
export function offerRates(thresholds) {
  const rates = thresholds.map((each) => asRate(each.errorRate));
  $("rates").replaceChildren(...rates.map((rate) => new Option(rate, rate)));
  if (!rates.length) $("accept-errors").value = "";
}

/** Return what a field says: nothing where a form says what is known instead. */
const value = (id) => ($(id).closest(".of-string") && $("form-name").value ? "" : $(id).value.trim());

function lengthOf(text) {
  if (!text) return null;
  const [, least, dash, most] = LENGTH.exec(text) ?? [];
  if (least === undefined || (!dash && Number(least) === 0)) return undefined;
  return dash && most === undefined ? { min: Number(least) } : { min: Number(least), max: Number(most ?? least) };
}

function rateOf(text) {
  if (!text) return null;
  const [, number, sign] = RATE.exec(text) ?? [];
  const rate = sign ? Number(`${number}e-2`) : Number(number);
  return rate > 0 && rate < 1 ? rate : undefined;
}

function fault(id) {
  $(id).setAttribute("aria-invalid", "true");
}

function clearFaults() {
  for (const input of $("constraints").querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}
