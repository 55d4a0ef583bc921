// The carpet: all digits that were read alike on one screen, to find those that are not.

import { get, newId } from "./api.js";
import { $, element } from "./view.js";

export class Carpet {
  constructor(saver) {
    this.saver = saver;
    this.label = null;
    this.digits = [];
    this.past = [];
    $("carpet-confirm").addEventListener("click", () => this.confirm());
    $("carpet-undo").addEventListener("click", () => this.undo());
  }

  async open() {
    this.counts = await get("/api/carpets");
    const labels = Object.keys(this.counts);
    if (!labels.length) {
      $("carpet-title").textContent = "This table has no digits to show";
      $("carpet-note").textContent =
        "A short CSV lacks them: let digitstrip batch write .parquet or .jsonl.";
      return;
    }
    const most = labels.reduce((one, other) => this.counts[other] > this.counts[one] ? other : one);
    await this.#show(this.label ?? most);
  }

  async #show(label) {
    this.label = label;
    await this.saver.flush();
    const { digits } = await get(`/api/carpets/${label}`);
    this.digits = digits;
    this.shownAt = performance.now();
    this.strokes = 0;
    this.#draw();
  }

  #draw() {
    $("carpet-title").textContent = this.digits.length
      ? `Read as ${this.label}: mark those that are not`
      : `No more digits that were read as ${this.label}`;
    $("labels").replaceChildren(...Object.entries(this.counts).map(([label, count]) => {
      const button = element("button", { type: "button" },
        [`${label} `, element("small", { text: count })]);
      button.setAttribute("aria-label", `${label}, ${count} digits`);
      if (label === this.label) {
        button.setAttribute("aria-current", "page");
      }
      button.addEventListener("click", () => this.#show(label));
      return element("li", {}, [button]);
    }));
    const cells = this.digits.map(([row, position], index) => {
      const button = element("button", { type: "button", tabIndex: index ? -1 : 0 }, [
        element("img", { src: `/api/digits/${row}/${position}`, alt: "", width: 64, height: 64 }),
      ]);
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", `row ${row + 1}, digit ${position + 1}`);
      button.addEventListener("click", () => this.#toggle(button));
      return button;
    });
    $("cells").replaceChildren(...cells);
    $("carpet-confirm").hidden = !cells.length;
    $("carpet-undo").hidden = !this.past.length;
    this.#say();
    (cells[0] ?? $("carpet-title")).focus();
  }

  #say() {
    const odd = this.#odd().length;
    $("carpet-note").textContent = !this.digits.length ? "Keys 0 to 9 show other digits."
      : odd ? `${odd} marked; their rows will be reviewed.`
        : "The least sure come first. Arrows move, Space marks, Enter confirms the rest.";
  }

  #toggle(button) {
    this.strokes += 1;
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    this.#focus(button);
    this.#say();
  }

  #focus(button) {
    [...$("cells").children].forEach((each) => { each.tabIndex = each === button ? 0 : -1; });
    button.focus();
  }

  #odd() {
    return this.digits.filter((_, index) =>
      $("cells").children[index]?.getAttribute("aria-pressed") === "true");
  }

  async confirm() {
    if (!this.digits.length) {
      return;
    }
    const id = newId();
    const ms = Math.round(performance.now() - this.shownAt);
    this.saver.add({ id, what: "carpet", digits: this.digits, odd: this.#odd(), ms,
      strokes: this.strokes + 1 });
    this.past.push({ id, label: this.label });
    await this.saver.flush();
    this.counts = await get("/api/carpets");
    await this.#show(this.label);
  }

  async undo() {
    const last = this.past.pop();
    if (!last) {
      return;
    }
    this.saver.add({ id: newId(), what: "undo", undoes: last.id });
    await this.saver.flush();
    this.counts = await get("/api/carpets");
    await this.#show(last.label);
  }

  // Handles a key; returns whether it was one of the carpet's.
  onKey(event, undoing) {
    const cells = [...$("cells").children];
    const at = cells.indexOf(document.activeElement);
    const columns = getComputedStyle($("cells")).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (undoing || event.key === "Backspace") {
      this.undo();
    } else if (event.key === "Enter" && (at >= 0 || !event.target.closest("button"))) {
      this.confirm();
    } else if (event.key in steps && cells.length) {
      this.#focus(cells[Math.max(0, Math.min(at + steps[event.key], cells.length - 1))]);
    } else if (event.key in (this.counts ?? {})) {
      this.#show(event.key);
    } else {
      return false;
    }
    return true;
  }
}
