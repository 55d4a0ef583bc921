"""What reading a scan costs, step by step, on one thread.

Ratios to one pass of the first reader over the line carry over from machine to machine.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import cv2
import numpy as np

from service.imaging.decode import decode as decode_image
from service.imaging.files import expand
from service.imaging.page import Gray
from service.recognition.decoding.decoder import decode
from service.recognition.model import ModelFiles, Scores
from service.recognition.normalize import normalize
from service.recognition.readers import FIRST
from service.recognition.recognizer import Recognizer

PIXELS = 8_000_000  # of a large page
STRIPS = Path(__file__).parent.parent / "examples" / "strips"

P = ParamSpec("P")
R = TypeVar("R")


def framed(gray: Gray) -> Gray:
    """Draw a frame just inside a page's edges, as dark as its ink."""
    height, width = gray.shape
    ink = int(np.quantile(gray, 0.01))
    return np.asarray(cv2.rectangle(gray.copy(), (3, 3), (width - 4, height - 4), (ink,), 2))


def enlarged(gray: Gray) -> Gray:
    """Enlarge a page to so many pixels."""
    scale = (PIXELS / gray.size) ** 0.5
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale))


def main() -> None:
    """Print milliseconds a scan, and how many scans are looked at again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="*", default=[str(STRIPS / "*.[!c]*")])
    parser.add_argument("--model", type=Path, help="the first reader; without it, the shipped pair")
    args = parser.parse_args()
    recognizer = Recognizer.load(ModelFiles.read(args.model))
    files = [source.read() for source in expand(args.scans)]
    spent: dict[str, float] = {}
    passes: list[int] = []  # of the first reader, by scan

    def timed(step: str, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        began = time.thread_time()
        done = work(*arguments, **named)
        spent[step] = spent.get(step, 0) + time.thread_time() - began
        return done

    score = recognizer.scorer.score

    def counted(strip: Gray) -> Scores:
        passes[-1] += 1
        return score(strip)

    recognizer.scorer.score = counted  # type: ignore[method-assign]
    for warm in (False, True):  # the first round warms up
        spent.clear()
        passes.clear()
        for encoded in files:
            page = timed("decode the image", decode_image, encoded)
            line = timed("normalize", normalize, page.gray, page.aspect)
            timed("normalize in a frame", normalize, framed(page.gray))
            timed("normalize, of 8 megapixels", normalize, enlarged(page.gray))
            strip = timed("estimate the slant, view", line.strip, FIRST)
            scores = timed("one pass of the first reader", score, strip.pixels)
            if recognizer.second is not None:
                timed("one pass of the second reader", recognizer.second.score, strip.pixels)
            timed("decode the scores", decode, scores[0], recognizer.metadata, None, 1)
            passes.append(0)
            timed("all but the image, as the service does it", recognizer.recognize, page)
        if warm:
            once = spent["one pass of the first reader"]
            for step, seconds in spent.items():
                print(f"{step:44}{1e3 * seconds / len(files):8.2f} ms{seconds / once:7.1f}×")
    print(f"{sum(each > 1 for each in passes)} of {len(files)} looked at in more sizes")


if __name__ == "__main__":
    main()
