// What was just done, as a command and as Python.

/** Return the curl command that reads the image with the same options. */
export function asCurl(name, parameters, hasToken) {
  const query = new URLSearchParams(parameters).toString();
  const url = `${location.origin}/v1/read${query && `?${query}`}`;
  const lines = ["curl", `-F ${quoted(`image=@"${name.replace(/["\\]/g, "\\$&")}"`)}`];
  if (hasToken) lines.push('-H "Authorization: Bearer $TOKEN"');
  return [...lines, quoted(url)].join(" \\\n    ");
}

/** Return the Python that reads it, in its own process. */
export function asPython(name, parameters) {
  const names = { length: "length", pattern: "pattern", check: "check_digit", "accept-errors": "accepted_error_rate", page: "page" };
  const values = parameters.map(([key, value]) => `, ${names[key]}=${literal(key, value)}`);
  return [
    "import digitstrip",
    "",
    "recognizer = digitstrip.load_model()",
    `reading = recognizer.read(${JSON.stringify(name)}${values.join("")})`,
    "print(reading.text, reading.confidence)",
  ].join("\n");
}

function literal(key, value) {
  if (key === "page") return String(Number(value) - 1); // in Python from 0
  if (key === "length" && /^\d+$/.test(value)) return String(Number(value));
  if (key === "accept-errors") return value.endsWith("%") ? String(Number(`${value.slice(0, -1)}e-2`)) : value;
  return JSON.stringify(value);
}

/** Quote a word for a shell. */
const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
