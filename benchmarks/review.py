"""A review by a script at a person's pace, in Chromium: rows whose truth is known, every key real.

The script looks at a row for a while, then does what takes the fewest keys: confirms, takes another
value, or edits. Meanwhile the server is killed and started again. In the end every row must say
what its scan says, and every export must have the same bytes.
"""

import argparse
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from training.config import StripConfig
from training.data.digits import load_mnist5k
from training.pages.page import random_page

BETWEEN = 0.12  # seconds between two keys
CHOICES = "asdf"  # keys of other values
FLAGS = ("--no-sandbox", "--disable-background-networking", "--disable-sync", "--no-first-run")

# Notes when a key was pressed that ends a row, and when the next picture was painted.
WATCH = """
window.times = [];
window.pressed = null;
let before = null;
addEventListener("keydown", (event) => {
  window.pressed = performance.now();
  before = document.querySelector("#picture img");
}, { capture: true });
const look = () => {
  const now = document.querySelector("#picture img");
  if (window.pressed !== null && now && now !== before && now.complete) {
    window.times.push(performance.now() - window.pressed);
    window.pressed = null;
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


class Server:
    """A `digitstrip review` process."""

    def __init__(self, table: Path, sample: int) -> None:
        self.command = [sys.executable, "-m", "service.cli", "review", str(table)]
        self.sample, self.listen = sample, "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Start it, at the address that it had before."""
        options = ["--listen", self.listen, "--sample", str(self.sample)]
        self.process = subprocess.Popen(
            [*self.command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.listen = re.findall(r"http://(\S+)/", self.process.stdout.readline())[0]

    def stop(self, sign: signal.Signals) -> str:
        """End it with a signal; return what it said."""
        self.process.send_signal(sign)
        return self.process.communicate()[1]


def make_pages(folder: Path, count: int, seed: int) -> dict[str, str]:
    """Make pages of several kinds, and return what they say, by name."""
    digits = load_mnist5k()
    kinds = (StripConfig(), StripConfig.cells(), StripConfig(), StripConfig.digitized())
    folder.mkdir()
    truths = {}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        page = random_page(digits, rng, kinds[number % len(kinds)])
        Image.fromarray(page.gray).save(folder / f"{number:04}.png")
        truths[f"{number:04}.png"] = page.text
    return truths


def keys_to(text: str, cursor: int, truth: str) -> list[str]:
    """Return keys that make one value another: a shortest way, from the left."""
    costs = [[0] * (len(truth) + 1) for _ in range(len(text) + 1)]  # from text[i:] to truth[j:]
    for i in range(len(text), -1, -1):
        for j in range(len(truth), -1, -1):
            if i == len(text) or j == len(truth):
                costs[i][j] = len(text) - i + 2 * (len(truth) - j)
                continue
            kept = costs[i + 1][j + 1] + (text[i] != truth[j])
            costs[i][j] = min(kept, costs[i + 1][j] + 1, costs[i][j + 1] + 2)
    keys: list[str] = []
    at, i, j = cursor, 0, 0

    def go(place: int) -> None:
        nonlocal at
        moves = ["ArrowRight"] * (place - at) or ["ArrowLeft"] * (at - place)
        for end, way in (("Home", place), ("End", length() - place)):
            if 1 + way < len(moves):
                moves = [end, *(["ArrowRight"] * way if end == "Home" else ["ArrowLeft"] * way)]
        keys.extend(moves)
        at = place

    def length() -> int:
        return j + len(text) - i

    while i < len(text) or j < len(truth):
        if i < len(text) and j < len(truth):
            kept = costs[i + 1][j + 1] + (text[i] != truth[j])
            if costs[i][j] == kept:
                if text[i] != truth[j]:
                    go(j)
                    keys.append(truth[j])
                    at += 1
                i, j = i + 1, j + 1
                continue
        if i < len(text) and (j == len(truth) or costs[i][j] == costs[i + 1][j] + 1):
            go(j)
            keys.append("-")
            i += 1
            continue
        go(j)
        keys += ["+", truth[j]] if i < len(text) else [truth[j]]
        at += 1
        j += 1
    return keys


def best_keys(page: Page, truth: str) -> list[str]:
    """Return the fewest keys that give a row its truth, the last of them Enter."""
    state: dict[str, Any] = page.evaluate("""() => ({
      text: document.getElementById("value").value,
      cursor: document.getElementById("value").selectionStart,
      choices: [...document.querySelectorAll("#choices button")].map((each) =>
        each.lastChild.textContent.replace(/[^0-9]/g, "")),
    })""")
    ways = [keys_to(state["text"], state["cursor"], truth), ["n", *truth]]
    for key, choice in zip(CHOICES, state["choices"], strict=False):
        first = next(
            (
                n
                for n, pair in enumerate(zip(choice, state["text"], strict=False))
                if pair[0] != pair[1]
            ),
            0,
        )
        ways.append([key, *keys_to(choice, first, truth)])
    return [*min(ways, key=len), "Enter"]


def work(
    page: Page, server: Server, truths: dict[str, str], asked: argparse.Namespace
) -> list[int]:
    """Key every row of a page at a person's pace; return how many keys each one took."""
    rng = random.Random(asked.seed)
    left = int(re.findall(r"(\d+) to go", page.inner_text("#count"))[0])
    kills = set(rng.sample(range(1, left), min(asked.kills, left - 1)))
    strokes = []
    for row in range(left):
        page.wait_for_selector("#row:visible")
        name = page.inner_text("#name").rpartition("/")[2]
        keys = best_keys(page, truths[name])
        time.sleep(asked.look * (0.5 + 0.5 * rng.expovariate(1)))
        for key in keys:
            time.sleep(BETWEEN)
            page.evaluate("window.pressed = null")
            page.keyboard.press(key)
        strokes.append(len(keys))
        if row in kills:
            server.stop(signal.SIGKILL)
            server.start()
    page.get_by_text("Everything is decided").wait_for()
    return strokes


def exported(server: Server, output: Path) -> bytes:
    """Export a review; return the bytes."""
    command = [*server.command, "--export", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return output.read_bytes()


def main() -> None:
    """Print the figures; exit 1 if a row is wrong or an export differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strips", type=int, default=300)
    parser.add_argument("--sample", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--look", type=float, default=0.8, help="seconds at a row, on average")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        scans, table = folder / "scans", folder / "readings.parquet"
        truths = make_pages(scans, asked.strips, asked.seed)
        command = [sys.executable, "-m", "service.cli", "batch", str(scans), "--progress", "none"]
        subprocess.run([*command, "--output", str(table), "--alternatives", "4"], check=True)
        server = Server(table, asked.sample)
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"http://{server.listen}/")
        page.wait_for_selector("#picture img")
        begun = time.monotonic()
        strokes = work(page, server, truths, asked)
        hours = (time.monotonic() - begun) / 3600
        times = page.evaluate("window.times")
        browser.close()
        said = server.stop(signal.SIGINT)
        first, second = (exported(server, folder / f"{each}.parquet") for each in ("one", "two"))
        wrong = wrong_rows(folder / "one.parquet", truths)
    rows = len(strokes)
    median, ninety = statistics.median(times), statistics.quantiles(times, n=10)[-1]
    print(f"{rows} rows, {rows / hours:,.0f} an hour, the server killed {asked.kills} times")
    print(f"from key to next picture: median {median:.0f} ms, p90 {ninety:.0f} ms ({len(times)})")
    print(
        f"keystrokes a row: {statistics.fmean(strokes):.2f}; "
        f"one alone for {sum(count == 1 for count in strokes) / rows:.0%} of them"
    )
    print(f"wrong or lost: {wrong}; the same bytes at each export: {first == second}")
    print(said)
    raise SystemExit(bool(wrong) or first != second)


def wrong_rows(table: Path, truths: dict[str, str]) -> int:
    """Count reviewed rows that do not say what their scans do."""
    from pyarrow import parquet

    rows = parquet.read_table(table).to_pylist()
    return sum(
        (row["final_text"] or "") != truths[row["source"].rpartition("/")[2]]
        for row in rows
        if row["review_why"]
    )


if __name__ == "__main__":
    main()
