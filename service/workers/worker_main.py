"""A reader: a process that reads images for a server or a batch, one after the other.

`python -m service.workers.worker_main` takes frames (framing.py) on stdin and answers on
stdout. The first says
how to read and brings the model; then each is a RecognizeRequest, answered by a RecognizeResponse
or by an error. Bytes of strangers are decoded here and nowhere else: what they break is one reader.
It ends when its stdin does.
"""

import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2

from service.api.requests import to_page
from service.api.service import RecognitionService
from service.errors import DigitstripError, InputError, TooManyPixels
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.recognition.model import Scorer
from service.recognition.recognizer import Recognizer
from service.workers.framing import Head, read_frame, write_frame
from service.workers.worker_config import Setup, from_head

OOM_SCORE = Path("/proc/self/oom_score_adj")
LEAST_ROWS = 64  # that a page counts for: lower ones are enlarged, and cost by their width
FIRST_TO_GO = "500"  # of -1000 to 1000: short of memory, Linux ends a reader before the server


def main() -> None:
    """Answer frames until they end."""
    for each in (signal.SIGINT, signal.SIGTERM):  # the server's own; it ends us when it drained
        signal.signal(each, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    # What libtiff and others print is neither an answer nor a line of the log, and a stranger's
    # file can make them print without end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")  # Pillow's quote what is in an image
    with suppress(BrokenPipeError):  # whoever asked is gone
        serve(sys.stdin.buffer, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Set up as the first frame says, then read whatever comes."""
    if (frame := read_frame(requests)) is None:
        return
    told, model = frame
    setup = from_head(told)
    try:
        recognizer = prepare(setup, model)
    except DigitstripError as error:
        write_frame(answers, to_head(error))
        return
    write_frame(
        answers, {"ready": True}, RecognitionService(recognizer).get_model().SerializeToString()
    )
    del model, frame
    while (frame := read_frame(requests)) is not None:
        write_frame(answers, *read(recognizer, frame[1], setup))


def prepare(setup: Setup, model: bytes) -> Recognizer:
    """Load the model, and be a good neighbor.

    Raises:
        ModelError, SettingsError: as `Scorer` does.
    """
    os.nice(setup.nice)
    if hasattr(os, "SCHED_BATCH"):  # which the server gave itself, to let readers read on
        with suppress(OSError):  # it could not, then
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):  # not Linux
        OOM_SCORE.write_text(FIRST_TO_GO)
    cv2.setNumThreads(1)  # images are read side by side instead
    return Recognizer(Scorer(model, setup.threads, setup.providers, setup.tile_positions))


def read(recognizer: Recognizer, request: bytes, setup: Setup) -> tuple[Head, bytes]:
    """Return the head and the body of the answer to a serialized RecognizeRequest."""
    try:
        return _read(recognizer, request, setup)
    except DigitstripError as error:
        return to_head(error), b""
    except Exception:  # a fault of ours must not tell its insides to callers, nor end the reader
        failed = DigitstripError("the server failed on this image; its log says why")
        return to_head(failed) | {"trace": traceback.format_exc()}, b""


def _read(recognizer: Recognizer, request: bytes, setup: Setup) -> tuple[Head, bytes]:
    asked = pb.RecognizeRequest.FromString(request)
    limits, most = setup.limits, setup.most_pixels
    own = limits
    if most < limits.max_pixels:
        longest = min(limits.max_width, max(most // LEAST_ROWS, 1))
        own = replace(limits, max_pixels=most, max_width=longest)
    try:
        recognized = RecognitionService(recognizer, own).recognize(asked)
    except TooManyPixels as error:
        if own is not limits and fits(error, limits):
            worth = max(error.pixels, min(error.side * LEAST_ROWS, limits.max_pixels))
            return {"misplaced": worth}, b""
        to_page(asked.image, limits)  # raises, and names the server's limits, not this worker's
        raise
    told = {
        "pixels": recognized.pixels,
        "seconds": dict(recognized.seconds),
        "none_share": recognized.none_share,
    }
    return told, recognized.response.SerializeToString()


def fits(error: TooManyPixels, limits: Limits) -> bool:
    """Say whether what is too much for this reader is not too much for all."""
    return 0 < error.pixels <= limits.max_pixels and error.side <= limits.max_width


def to_head(error: DigitstripError) -> Head:
    """Return the head that says why nothing was read."""
    field = error.field if isinstance(error, InputError) else ""
    return {"error": {"reason": error.reason, "message": str(error), "field": field}}


if __name__ == "__main__":
    main()
