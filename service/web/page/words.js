// The schema's constants and numbers in words.

const REASONS = {
  NOTHING_SEEN: "There are traces of ink, too faint to be read.",
  SECOND_LINE: "There are several lines of ink; this is one of them.",
  UNEXPLAINED_INK: "There is ink that no digit explains.",
  STRUCK_OUT: "A line goes through the digits.",
  CUT_OFF: "Digits go on beyond an edge of the image.",
  CONSTRAINT: "The string does not satisfy what you know of it.",
  LOW_CONFIDENCE: "The confidence is too low for so few errors.",
  MISREGISTERED: "Its place on the page is not known.",
  BLANK: "There is no digit in it, and there must be.",
  ON_PRINT: "A stroke may run along a printed line.",
};

const OUTCOMES = {
  FREE: "It satisfies what you know of it by itself.",
  CHANGED: "What you know changed it: without, another string would be likelier.",
  IMPOSSIBLE: "No string that satisfies what you know was found; this one does not.",
  UNSEARCHED: "The image is too wide to search for what you know; this string does not satisfy it.",
};

const CHANNELS = {
  LUMINANCE: "luminance",
  RED: "red alone",
  GREEN: "green alone",
  BLUE: "blue alone",
  DROP_OUT: "the form's color removed",
};

/** Check digits: what they are called, by the schema's word. */
const CHECKS = { luhn: "Luhn", mod97: "MOD 97-10", isbn10: "ISBN-10", isbn13: "ISBN-13", verhoeff: "Verhoeff" };

/** Return the choices of a check digit, none first. */
export const checkOptions = () => [["", "none"], ...Object.entries(CHECKS)].map(([value, name]) => new Option(name, value));

/** Return a constant's word, without the name of its enum: DECISION_ACCEPT is ACCEPT. */
export const bare = (name, prefix) => (name ?? "").replace(prefix, "");

export const reason = (name) => REASONS[bare(name, "REVIEW_REASON_")] ?? bare(name, "REVIEW_REASON_");
export const outcome = (name) => OUTCOMES[bare(name, "CONSTRAINT_OUTCOME_")] ?? "";
export const channel = (name) => CHANNELS[bare(name, "CHANNEL_")] ?? "unknown";

/** Return a share in percent, with as many decimals as matter near the ends. */
export function percent(share) {
  const value = 100 * (share ?? 0);
  if (value > 99.99 && value < 100) return "> 99.99%";
  if (value > 0 && value < 0.01) return "< 0.01%";
  const decimals = value >= 100 || value === 0 ? 0 : value > 99 || value < 1 ? 2 : 1;
  return `${value.toFixed(decimals)}%`;
}

/** Return a share that somebody chose, in percent, as it was written. */
export const asRate = (share) => `${Number((100 * share).toPrecision(6))}%`;

/** Return the angle of a slope in degrees. */
export const degrees = (slope) => `${((Math.atan(slope ?? 0) * 180) / Math.PI).toFixed(1)}°`;

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
