// A form's template as TOML, as docs/forms.md has it.

/** Return the template; places are millimeters. */
export function asToml({ name, reference, width, height, by, marks, side, fields }) {
  const lines = [
    `name = ${text(name)}`,
    `reference = ${text(reference)}`,
    "",
    "[page]",
    `width = ${width}`,
    `height = ${height}`,
    "",
    "[registration]",
    `by = ${text(by)}`,
  ];
  if (by === "corners") lines.push(`marks = [${marks.map(numbers).join(", ")}]`, `side = ${side}`);
  for (const field of fields) lines.push("", "[[field]]", ...fieldLines(field));
  return `${lines.join("\n")}\n`;
}

function fieldLines({ name, box, length, pattern, check, comb, blank }) {
  const lines = [`name = ${text(name)}`, `box = ${numbers(box)}`];
  if (comb) lines.push(`comb = ${/^\d+$/.test(comb) ? Number(comb) : text(comb)}`);
  if (length) lines.push(`length = ${/^\d+$/.test(length) ? Number(length) : text(length)}`);
  if (pattern) lines.push(`pattern = ${text(pattern)}`);
  if (check) lines.push(`check = ${text(check)}`);
  if (!blank) lines.push("blank = false");
  return lines;
}

const numbers = (values) => `[${values.join(", ")}]`;

/** Return a TOML string: literal where it has backslashes and may be, else basic. */
function text(value) {
  if (value.includes("\\") && !/['\p{Cc}]/u.test(value)) return `'${value}'`;
  return JSON.stringify(value).replaceAll("\x7f", "\\u007f");
}
