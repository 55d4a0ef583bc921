// What was read, in words and tables.

import { $, el } from "./dom.js";
import { trust } from "./strip.js";
import { asRate, bare, channel, degrees, milliseconds, outcome, percent, reason } from "./words.js";

const SEEN = 1e-3; // a confidence of a runner-up that is shown

/**
 * Show a reading.
 *
 * `rate` is the share of errors that is tolerated, or null; `mark` is called with the index of the
 * digit that is pointed at, or -1.
 */
export function showReading({ response, stages, total }, model, rate, mark) {
  showText(response);
  showVerdict(response, model, rate);
  showDigits(response, mark);
  showAlternatives(response);
  showDone(response.normalization, response);
  showTimes(stages, total);
}

/** Return the reading as a sentence, for those who hear it. */
export function asSentence(response) {
  const text = response.text ? `Read ${[...response.text].join(" ")}` : "No digits were read";
  const decision = { DECISION_ACCEPT: "Accept.", DECISION_REVIEW: "To be reviewed." }[response.decision];
  return [`${text}, ${percent(response.confidence)} sure.`, decision, ...(response.reviewReasons ?? []).map(reason)]
    .filter(Boolean)
    .join(" ");
}

function showText(response) {
  const digits = [...(response.digits ?? [])];
  const parts = [...(response.text ?? "")].map((letter) => {
    if (!/\d/.test(letter)) return el("span", "literal", letter); // the pattern's own
    return el("span", trust(digits.shift()?.confidence), letter);
  });
  $("text").classList.toggle("long", parts.length > 12);
  $("text").classList.toggle("longer", parts.length > 20);
  $("text").replaceChildren(...(parts.length ? parts : [el("span", "nothing", "No digits")]));
}

function showVerdict(response, model, rate) {
  $("confidence").textContent = `${percent(response.confidence)} sure`;
  const decision = bare(response.decision, "DECISION_");
  $("decision").hidden = !decision;
  $("decision").textContent = { ACCEPT: "Accept", REVIEW: "Have it reviewed" }[decision] ?? "";
  const reasons = (response.reviewReasons ?? []).map((each) => reasonOf(each, response, model, rate));
  if (decision === "ACCEPT") reasons.push(accepted(response, model, rate));
  const said = outcome(response.constraintOutcome);
  if (said && !response.reviewReasons?.includes("REVIEW_REASON_CONSTRAINT")) reasons.push(said);
  if (!decision && !model?.calibration?.source) reasons.push("This model is not calibrated.");
  $("reasons").replaceChildren(...reasons.map((each) => el("li", "", each)));
}

function accepted({ confidence }, model, rate) {
  const needed = thresholdOf(model, rate)?.confidence;
  return `${percent(confidence)} is over the ${percent(needed)} that keep errors at ${asRate(rate)} or less.`;
}

function reasonOf(name, { confidence }, model, rate) {
  if (name !== "REVIEW_REASON_LOW_CONFIDENCE" || !model) return reason(name);
  const needed = thresholdOf(model, rate)?.confidence;
  if (needed === undefined) return `This model promises no error rate as low as ${asRate(rate)}.`;
  return `${percent(confidence)} is less than the ${percent(needed)} that keep errors at ${asRate(rate)} or less.`;
}

/** Return what the model promises: the largest error rate that is no larger than the tolerated. */
const thresholdOf = (model, rate) => (model?.calibration?.thresholds ?? []).find((each) => each.errorRate <= rate);

function showDigits(response, mark) {
  const rows = (response.digits ?? []).map((digit, index) => {
    const row = el("tr", trust(digit.confidence));
    const label = el("th", "label", digit.label);
    label.scope = "row";
    const bar = el("meter");
    [bar.max, bar.value, bar.ariaHidden] = [1, digit.confidence ?? 0, "true"];
    const others = (digit.runnersUp ?? []).filter((each) => (each.confidence ?? 0) >= SEEN);
    const named = others.flatMap((each) => [el("span", "other", el("b", "", each.label), ` ${percent(each.confidence)}`), " "]);
    row.append(label, el("td", "figure", bar, percent(digit.confidence)), el("td", "others", ...(named.length ? named : ["–"])));
    row.addEventListener("pointerenter", () => mark(index));
    row.addEventListener("pointerleave", () => mark(-1));
    return row;
  });
  $("digits").replaceChildren(...rows);
  $("digits-title").parentElement.hidden = !rows.length;
}

function showAlternatives(response) {
  const rows = (response.alternatives ?? []).map((other) =>
    el("li", "", el("span", "string", ...compared(other.text ?? "", response.text ?? "")), el("span", "figure", percent(other.confidence))),
  );
  $("alternatives").replaceChildren(...(rows.length ? rows : [el("li", "nothing", "None was found.")]));
}

/** Return a string's letters, those set off in which it differs from another. */
function compared(text, other) {
  if (!text) return ["no digits"];
  if (text.length === other.length)
    return [...text].map((letter, at) => (letter === other[at] ? letter : el("b", "", letter)));
  const shorter = Math.min(text.length, other.length);
  let [same, end] = [0, 0]; // letters at the beginning, and at the end
  while (same < shorter && text[same] === other[same]) same++;
  while (end < shorter - same && text.at(-1 - end) === other.at(-1 - end)) end++;
  return [text.slice(0, same), el("b", "", text.slice(same, text.length - end)), text.slice(text.length - end)];
}

function showDone(done, response) {
  const polarity = { POLARITY_DARK_ON_LIGHT: "dark ink on light paper", POLARITY_LIGHT_ON_DARK: "light ink on dark, inverted" };
  const ink = done.ink ?? {};
  const facts = [
    ["Image", `${done.sourceWidth} × ${done.sourceHeight} px`],
    ["Scaled by", `${(done.scaleX ?? 0).toFixed(2)} × ${(done.scaleY ?? 0).toFixed(2)}`],
    ["Ink", polarity[done.polarity] ?? "unknown"],
    ["Gray from", channel(done.channel)],
    ["Slant removed", degrees(done.slant)],
    ["Skew removed", degrees(done.skew)],
    ["Ink of the digits", percent(ink.digits)],
  ];
  if (ink.removed) facts.push(["Printed lines removed", percent(ink.removed)]);
  if (response.readersAgree !== undefined) facts.push(["Second reader", response.readersAgree ? "agrees" : "reads otherwise"]);
  $("done").replaceChildren(...listed(facts));
}

function showTimes(stages, total) {
  const bars = stages.map(([name, value]) => {
    const bar = el("i", name);
    bar.style.flexGrow = String(Math.max(value, 0.01));
    return bar;
  });
  $("timing").replaceChildren(...bars);
  const facts = stages.map(([name, value]) => [name, milliseconds(value)]);
  $("times").replaceChildren(...listed([...facts, ["there and back", milliseconds(total)]]));
}

const listed = (facts) => facts.flatMap(([name, value]) => [el("dt", "", name), el("dd", "", value)]);
