"""What reading a scan costs, step by step, on one thread.

Ratios to one pass of the network over the line carry over from machine to machine.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from service.imaging.decode import decode as decode_image
from service.imaging.files import expand
from service.imaging.page import Gray
from service.recognition.decoding.decoder import decode
from service.recognition.model import SHIPPED_MODEL, Scorer
from service.recognition.normalize import normalize
from service.recognition.recognizer import FIRST, OTHERS, SURE, Recognizer

PIXELS = 8_000_000  # of a large page
STRIPS = Path(__file__).parent.parent / "examples" / "strips"


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
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL)
    args = parser.parse_args()
    recognizer = Recognizer(Scorer(args.model))
    scorer, metadata = recognizer.scorer, recognizer.metadata
    files = [source.read() for source in expand(args.scans)]
    spent: dict[str, float] = {}

    def timed(step: str, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the step gives
        began = time.thread_time()
        done = work(*arguments)
        spent[step] = spent.get(step, 0) + time.thread_time() - began
        return done

    again = 0
    for warm in (False, True):  # the first round warms up
        spent.clear()
        again = 0
        for encoded in files:
            gray = timed("decode the image", decode_image, encoded).gray
            line = timed("normalize", normalize, gray)
            timed("normalize in a frame", normalize, framed(gray))
            timed("normalize, of 8 megapixels", normalize, enlarged(gray))
            strip = timed("estimate the slant, view", line.strip, FIRST)
            scores = timed("one pass of the network", scorer.score, strip.pixels)
            reading = timed("decode the scores", decode, scores[0], metadata)
            again += reading.confidence < SURE
            timed("all but the image, as the service does it", recognizer.recognize, gray)
        if warm:
            once = spent["one pass of the network"]
            for step, seconds in spent.items():
                print(f"{step:44}{1e3 * seconds / len(files):8.2f} ms{seconds / once:7.1f}×")
    print(f"{again} of {len(files)} looked at again, in {len(OTHERS)} more views")


if __name__ == "__main__":
    main()
