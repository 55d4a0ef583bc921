// The value of a field: digits that are overtyped, each with its place under the picture.

export class Editor {
  // `places` are the digits' centers, as shares of the picture's width; none where they are unknown.
  constructor(text, cursor = 0, places = []) {
    this.digits = [...text];
    this.places = places.length === this.digits.length ? [...places] : null;
    this.original = text;
    this.cursor = Math.min(cursor, this.digits.length);
    this.gap = false; // whether the next digit is inserted before the cursor
    this.touched = false;
    this.past = [];
  }

  get text() {
    return this.digits.join("");
  }

  type(digit) {
    this.#keep();
    if (this.gap || this.cursor === this.digits.length) {
      this.#insert(digit);
    } else {
      this.digits[this.cursor] = digit;
    }
    this.gap = false;
    this.cursor += 1;
  }

  move(steps) {
    this.gap = false;
    this.cursor = Math.max(0, Math.min(this.cursor + steps, this.digits.length));
  }

  openGap() {
    this.gap = !this.gap;
  }

  remove() {
    if (this.gap) {
      this.gap = false;
    } else if (this.cursor < this.digits.length) {
      this.#keep();
      this.digits.splice(this.cursor, 1);
      this.places?.splice(this.cursor, 1);
    }
  }

  // Takes another value; of one with as many digits, each keeps its place.
  take(text) {
    this.#keep();
    const before = this.text;
    this.digits = [...text];
    if (this.places?.length !== this.digits.length) {
      this.places = null;
    }
    const different = this.digits.findIndex((digit, index) => digit !== before[index]);
    this.cursor = Math.max(different, 0);
    this.gap = false;
  }

  // Takes back the last edit; returns whether there was one.
  undo() {
    if (this.gap) {
      this.gap = false;
      return true;
    }
    const before = this.past.pop();
    if (!before) {
      return false;
    }
    Object.assign(this, before);
    this.touched = this.past.length > 0;
    return true;
  }

  #keep() {
    this.past.push({
      digits: [...this.digits],
      places: this.places && [...this.places],
      cursor: this.cursor,
    });
    this.touched = true;
  }

  #insert(digit) {
    this.digits.splice(this.cursor, 0, digit);
    if (!this.places) {
      return;
    }
    const [before, after] = [this.places[this.cursor - 1], this.places[this.cursor]];
    const step = this.places.length > 1
      ? (this.places.at(-1) - this.places[0]) / (this.places.length - 1) : 0.05;
    const place = before === undefined ? (after ?? 0.5) - (after === undefined ? 0 : step)
      : after === undefined ? before + step : (before + after) / 2;
    this.places.splice(this.cursor, 0, Math.max(0.02, Math.min(place, 0.98)));
  }
}
