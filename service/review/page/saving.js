// Saves what was done in the background. Until the server has it, it is kept in the browser too.

import { newId, post, Refused } from "./api.js";

const FIRST_WAIT = 400; // milliseconds until the first retry; doubled up to the longest
const LONGEST_WAIT = 8000;
const PATIENCE = 10000; // for an answer
const AT_ONCE = 100; // events of one request

export class Saver {
  // `say` receives how many events wait, and why; `signIn` is called where the server knows nobody.
  constructor(name, say, signIn) {
    const prefix = `digitstrip review ${name} `;
    const before = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    this.key = prefix + newId(); // other tabs have theirs
    this.say = say;
    this.signIn = signIn;
    // What an earlier page could not save; where another tab does so too, it is written once.
    this.waiting = before.flatMap((key) => JSON.parse(localStorage.getItem(key)));
    this.#keep();
    before.forEach((key) => localStorage.removeItem(key));
    this.busy = null;
    this.wait = FIRST_WAIT;
    this.last = Promise.resolve();
    window.addEventListener("online", () => this.hurry());
    window.addEventListener("beforeunload", (event) => {
      if (this.waiting.length) {
        event.preventDefault();
      }
    });
  }

  add(event) {
    this.waiting.push(event);
    this.#keep();
    this.flush();
  }

  // Sends what waits; resolves once everything is on the server's disk.
  flush() {
    this.busy ??= this.#send().finally(() => {
      this.busy = null;
    });
    return this.busy;
  }

  hurry() {
    this.wake?.();
  }

  async #send() {
    let single = false;
    while (this.waiting.length) {
      const events = this.waiting.slice(0, single ? 1 : AT_ONCE);
      try {
        await post("/api/events", { events }, AbortSignal.timeout(PATIENCE));
        this.#drop(events.length);
        this.wait = FIRST_WAIT;
        this.say(this.waiting.length, "");
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          await this.signIn();
        } else if (error instanceof Refused && error.status === 400 && single) {
          this.#drop(1); // it can never be saved
          this.say(0, `not saved: ${error.message}`);
        } else if (error instanceof Refused && error.status === 400) {
          single = true;
        } else {
          this.say(this.waiting.length, "offline");
          await this.#pause();
        }
      }
    }
  }

  #drop(count) {
    this.waiting.splice(0, count);
    this.#keep();
  }

  #keep() {
    try {
      if (this.waiting.length) {
        localStorage.setItem(this.key, JSON.stringify(this.waiting));
      } else {
        localStorage.removeItem(this.key);
      }
    } catch {
      // A browser that keeps nothing, or is full: what waits is in memory alone, and is sent.
    }
  }

  async #pause() {
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, this.wait);
    });
    this.wake = null;
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
  }
}
