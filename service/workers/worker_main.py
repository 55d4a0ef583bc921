"""A worker process: recognizes images for a server or a batch, one after the other.

`python -m service.workers.worker_main` reads frames (framing.py) on stdin and answers on stdout.
The first frame is the configuration and the model; each further one is a request, whose head says
what is to be done (`Work`), answered by a response or by an error. Untrusted bytes are decoded here
and nowhere else: what they crash is one worker. The process ends when its stdin does.
"""

import ctypes
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import cv2
from google.protobuf.message import DecodeError, Message

from service.api.json_records import decision_word, outcome_word
from service.api.requests import to_page
from service.api.service import RecognitionService
from service.api.wire import malformed
from service.errors import DigitstripError, InputError, TooManyPixels
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb
from service.recognition.model import ModelFiles
from service.recognition.recognizer import Recognizer
from service.workers.framing import Head, Work, read_frame, write_frame
from service.workers.worker_config import WorkerConfig, from_frame

if TYPE_CHECKING:
    from service.forms.service import Forms

SomeMessage = TypeVar("SomeMessage", bound=Message)

PR_SET_PDEATHSIG = 1  # of prctl(2)
OOM_SCORE = Path("/proc/self/oom_score_adj")
MIN_ROWS = 64  # that a page counts for: lower ones are enlarged, and cost by their width
KILLED_FIRST = "500"  # of -1000 to 1000: short of memory, Linux kills a worker before the server


def main() -> None:
    """Answer frames until they end."""
    end_with_parent()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the server
        signal.signal(each, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    # What libtiff and others print is neither an answer nor a log line, and an untrusted file can
    # make them print without end.
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(devnull, stream)
    warnings.simplefilter("ignore")  # Pillow's quote what is in an image
    with suppress(BrokenPipeError):  # the server is gone
        serve(sys.stdin.buffer, answers)


def end_with_parent() -> None:
    """Have Linux kill this process when the server dies, whatever it is busy with.

    Elsewhere it ends when it next reads its stdin.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Load the model as the first frame says, then recognize what comes."""
    if (frame := read_frame(requests)) is None:
        return
    config, files = from_frame(*frame)
    try:
        recognizer = prepare(config, files)
    except DigitstripError as error:
        write_frame(answers, to_head(error))
        return
    write_frame(
        answers, {"ready": True}, RecognitionService(recognizer).get_model().SerializeToString()
    )
    del files, frame
    while (frame := read_frame(requests)) is not None:
        work = Work(frame[0].get("work", Work.RECOGNIZE))
        write_frame(answers, *recognize(recognizer, frame[1], config, work))


def prepare(config: WorkerConfig, files: ModelFiles) -> Recognizer:
    """Load the models, and set the process's priority.

    Raises:
        ModelError, SettingsError: as `Scorer` does.
    """
    os.nice(config.nice)
    if hasattr(os, "SCHED_BATCH"):  # the server's own policy, by which it yields to its workers
        with suppress(OSError):  # not permitted
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):  # not Linux
        OOM_SCORE.write_text(KILLED_FIRST)
    cv2.setNumThreads(1)  # images are recognized side by side instead
    return Recognizer.load(files, config.threads, config.providers, config.tile_positions)


def recognize(
    recognizer: Recognizer,
    request: bytes,
    config: WorkerConfig,
    work: Work = Work.RECOGNIZE,
) -> tuple[Head, bytes]:
    """Return the head and the body of the answer to a serialized request.

    Args:
        recognizer: reads.
        request: a RecognizeRequest, or what the work has in its place.
        config: has the limits.
        work: what is to be done.
    """
    try:
        if work is Work.DESCRIBE_FORM:
            return _describe(request, config)
        if work is Work.RECOGNIZE_FORM:
            return _recognize_form(recognizer, request, config)
        return _recognize(recognizer, request, config)
    except DigitstripError as error:
        return to_head(error), b""
    except Exception:  # an internal fault must not reveal itself to callers, nor end the worker
        failed = DigitstripError("the server failed on this image; its log says why")
        return to_head(failed) | {"trace": traceback.format_exc()}, b""


def _recognize(recognizer: Recognizer, request: bytes, config: WorkerConfig) -> tuple[Head, bytes]:
    message = _parsed(request, pb.RecognizeRequest)
    own = _own_limits(config)
    try:
        recognized = RecognitionService(recognizer, own).recognize(message)
    except TooManyPixels as error:
        return _too_large(error, message.image, own, config.limits)
    response = recognized.response
    head = {
        "pixels": recognized.pixels,
        "seconds": dict(recognized.seconds),
        "none_share": recognized.none_share,
        "text": response.text,
        "confidence": response.confidence,
        "digest": response.model_digest,
        "decision": decision_word(response),
        "outcome": outcome_word(response),
        "readers_agree": response.readers_agree if response.HasField("readers_agree") else None,
    }
    return head, response.SerializeToString()


def _recognize_form(
    recognizer: Recognizer, request: bytes, config: WorkerConfig
) -> tuple[Head, bytes]:
    from service.forms.service import FormService

    message = _parsed(request, pb.RecognizeFormRequest)
    own = _own_limits(config)
    try:
        service = FormService(RecognitionService(recognizer, own), _forms(config.limits))
        recognized = service.recognize(message)
    except TooManyPixels as error:
        return _too_large(error, message.image, own, config.limits)
    response = recognized.response
    decisions = [decision_word(each) for each in response.fields]
    head = {
        "pixels": recognized.pixels,
        "seconds": dict(recognized.seconds),
        "none_share": recognized.none_share,
        "text": ", ".join(f"{each.name}={each.reading.text}" for each in response.fields),
        "confidence": min(each.reading.confidence for each in response.fields),
        "digest": response.model_digest,
        "decision": "REVIEW" if "REVIEW" in decisions else decisions[0],
        "outcome": None,
        "readers_agree": None,
    }
    return head, response.SerializeToString()


def _describe(request: bytes, config: WorkerConfig) -> tuple[Head, bytes]:
    from service.forms.service import describe

    message = _parsed(request, pb.Form)
    described = describe(message.name, _forms(config.limits).get(message))
    nothing = {"pixels": 0, "seconds": {}, "none_share": 0.0, "text": "", "confidence": 0.0}
    names = ("decision", "outcome", "readers_agree")
    return nothing | {"digest": "", **dict.fromkeys(names)}, described.SerializeToString()


@lru_cache(1)
def _forms(limits: Limits) -> "Forms":
    """Return the forms that this process has built; what they need is loaded with the first."""
    from service.forms.service import Forms

    return Forms(limits)


def _parsed(request: bytes, kind: type[SomeMessage]) -> SomeMessage:
    message: SomeMessage = kind()
    try:
        message.ParseFromString(request)
        return message
    except DecodeError as error:
        raise malformed(kind.DESCRIPTOR.name, len(request)) from error


def _own_limits(config: WorkerConfig) -> Limits:
    """Return the limits of a page for this worker: larger ones are sent back."""
    limits = config.limits
    if config.max_pixels >= limits.max_pixels:
        return limits
    longest = min(limits.max_width, max(config.max_pixels // MIN_ROWS, 1))
    return replace(limits, max_pixels=config.max_pixels, max_width=longest)


def _too_large(
    error: TooManyPixels, image: pb.Image, own: Limits, limits: Limits
) -> tuple[Head, bytes]:
    """Return the answer that sends a page back; raise, where it is too large for the server."""
    if own is not limits and fits(error, limits):
        pixels = max(error.pixels, min(error.side * MIN_ROWS, limits.max_pixels))
        return {"too_large": pixels}, b""
    to_page(image, limits)  # raises, and names the server's limits, not this worker's
    raise error


def fits(error: TooManyPixels, limits: Limits) -> bool:
    """Return whether a page that is too large for this worker is within the server's limits."""
    return 0 < error.pixels <= limits.max_pixels and error.side <= limits.max_width


def to_head(error: DigitstripError) -> Head:
    """Return the head of an answer that is an error."""
    field = error.field if isinstance(error, InputError) else ""
    return {"error": {"reason": error.reason, "message": str(error), "field": field}}


if __name__ == "__main__":
    main()
