// The figures so far, and what to do when everything is decided.

import { get } from "./api.js";
import { $, element } from "./view.js";

const percent = (share) => `${(100 * share).toFixed(1)}%`;

export async function drawSummary(nothingToDo) {
  const found = await get("/api/summary");
  const open = found.rows - found.decided;
  $("summary-title").textContent = !nothingToDo ? "So far"
    : found.waiting_for_another ? "The rest is for another person"
      : open ? "Nothing more for you at the moment" : "Everything is decided";
  const pace = found.paces[0];
  const tiles = [[`${found.decided} of ${found.rows}`, "rows to review decided"]];
  if (pace) {
    tiles.push([Math.round(pace.hourly).toLocaleString("en"), "rows an hour"]);
    tiles.push([`${pace.seconds.toFixed(1)} s`, "a row, the median"]);
    tiles.push([pace.strokes.toFixed(2), "keystrokes a row"]);
  }
  if (found.corrected.whole) {
    tiles.push([percent(found.corrected.value), "corrected"]);
  }
  if (found.agreed.whole) {
    tiles.push([percent(found.agreed.value), "of two keys agree"]);
  }
  if (found.audit.whole && !open) {
    const { value, low, high } = found.audit;
    tiles.push([percent(value), `of the accepted wrong, ${percent(low)} to ${percent(high)}`]);
  }
  $("tiles").replaceChildren(...tiles.map(([figure, what]) =>
    element("div", {}, [element("b", { text: figure }), element("span", { text: what })])));
  const tables = [];
  if (found.corrections.length) {
    tables.push(table("What was corrected", ["read → is", "times"],
      found.corrections.map(({ kind, count }) => [kind, count])));
  }
  if (found.paces.length > 1) {
    tables.push(table("Who did it", ["", "rows", "an hour", "keystrokes", "planted, right"],
      found.paces.slice(1).map(({ who, rows, hourly, strokes, known }) =>
        [who, rows, Math.round(hourly).toLocaleString("en"), strokes.toFixed(2),
          known.whole ? `${known.part} of ${known.whole}` : "–"])));
  }
  const others = Object.entries(found.outcomes).filter(([what]) => what !== "text");
  if (others.length) {
    tables.push(table("Without a value", ["", "rows"],
      others.map(([what, count]) => [what.replace("_", " "), count])));
  }
  $("tables").replaceChildren(...tables);
  $("next").textContent = nothingToDo && !open
    ? "Ctrl-C in the terminal ends the review and names the command that exports it." : "";
}

function table(caption, columns, rows) {
  const head = element("tr", {}, columns.map((text) =>
    text ? element("th", { text, scope: "col" }) : element("td")));
  const lines = rows.map(([first, ...rest]) => element("tr", {}, [
    element("th", { text: first, scope: "row" }),
    ...rest.map((text) => element("td", { text })),
  ]));
  return element("table", {}, [element("caption", { text: caption }),
    element("thead", {}, [head]), element("tbody", {}, lines)]);
}
