// Calls of the server that sent this page, in the Connect protocol.

const SERVICE = "/digitstrip.v1.RecognizerService/";
const TOKEN = "digitstrip-token";

/** A refusal by the server, in its own words. */
export class Refused extends Error {
  constructor(status, body, retryAfter) {
    super(body.message ?? body.error?.message ?? `the server answered with status ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
    const details = (body.details ?? []).map((each) => each.debug ?? {});
    this.reason = details.find((each) => each.reason)?.reason ?? body.error?.reason ?? "";
    const field = details.find((each) => each.fieldViolations)?.fieldViolations[0]?.field;
    this.field = field ?? body.error?.field ?? "";
  }
}

/** A server that cannot be reached. */
export class Offline extends Error {}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value) => sessionStorage.setItem(TOKEN, value),
};

/** Read an image. Returns the response, and the milliseconds of each stage and of all. */
export async function recognize(blob, options, signal) {
  const began = performance.now();
  const image = { encoded: await base64(blob), page: options.page - 1 };
  const message = request(image, options);
  const answer = await call("Recognize", message, signal).catch((error) => {
    if (error.field !== "include_scores") throw error;
    return call("Recognize", { ...message, includeScores: false }, signal); // they are too many
  });
  return {
    response: await answer.json(),
    stages: stages(answer.headers.get("Server-Timing") ?? ""),
    total: performance.now() - began,
  };
}

/**
 * Read a page of a form.
 *
 * `form` is the part of the request that says which: a name that the server has, or a template.
 */
export async function recognizeForm(blob, form, { page, acceptErrors }, signal) {
  const began = performance.now();
  const image = { encoded: await base64(blob), page: page - 1 };
  const rate = acceptErrors === null ? {} : { acceptedErrorRate: acceptErrors };
  const answer = await call("RecognizeForm", { image, ...form, ...rate }, signal);
  return { response: await answer.json(), total: performance.now() - began };
}

/** Return the forms that the server has. */
export const listForms = async () => (await (await call("ListForms", {})).json()).forms ?? [];

export const getModel = async () => (await call("GetModel", {})).json();

export async function isReady() {
  try {
    return (await fetch("/readyz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

function request(image, { length, pattern, check, acceptErrors }) {
  const constraint = {};
  if (length) constraint.length = length;
  if (pattern) constraint.pattern = pattern;
  if (check) constraint.checkDigit = `CHECK_DIGIT_${check.toUpperCase()}`;
  return {
    image,
    constraint,
    includeScores: true,
    alternatives: 5,
    ...(acceptErrors === null ? {} : { acceptedErrorRate: acceptErrors }),
  };
}

async function call(method, message, signal) {
  const headers = { "Content-Type": "application/json", "Connect-Protocol-Version": "1" };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    const body = JSON.stringify(message);
    answer = await fetch(SERVICE + method, { method: "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Offline();
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, body, Number(answer.headers.get("Retry-After") ?? 0));
}

export async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 0x8000)
    binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(binary);
}

/** Parse a Server-Timing header, as the server writes it: `queue;dur=0.1, decode;dur=3`. */
function stages(header) {
  const pairs = header.split(", ").map((each) => each.split(";dur="));
  return pairs.filter(([name, value]) => name && value).map(([name, value]) => [name, Number(value)]);
}
