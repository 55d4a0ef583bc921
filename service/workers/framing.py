"""Frames between the server and its workers over pipes: a head of JSON, a body of bytes.

Workers decode untrusted bytes, so nothing that they send is ever executed, as a pickle would be.
"""

import json
import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO

from service.json_object import JsonObject, parse_json

Head = JsonObject


class Work(StrEnum):
    """What a worker is to do with the body of a frame."""

    RECOGNIZE = "recognize"  # a RecognizeRequest
    RECOGNIZE_FORM = "recognize_form"  # a RecognizeFormRequest with its form
    DESCRIBE_FORM = "describe_form"  # a Form, to a FormDescription


SIZES = struct.Struct("<IQ")  # of head and body, bytes
MAX_HEAD, MAX_BODY = 2**20, 2**30  # bytes of a frame


def pack(head: Head, body: bytes = b"") -> tuple[bytes, bytes]:
    """Return a frame as two pieces, so that a large body is not copied."""
    encoded = json.dumps(head).encode()
    return SIZES.pack(len(encoded), len(body)) + encoded, body


def write_frame(pipe: BinaryIO, head: Head, body: bytes = b"") -> None:
    """Write a frame and flush.

    Raises:
        BrokenPipeError: the other end is closed.
    """
    pipe.writelines(pack(head, body))
    pipe.flush()


def read_frame(pipe: BinaryIO) -> tuple[Head, bytes] | None:
    """Return the next frame, or None at the pipe's end."""
    sizes = pipe.read(SIZES.size)
    if len(sizes) < SIZES.size:
        return None
    of_head, of_body = SIZES.unpack(sizes)
    head, body = pipe.read(of_head), pipe.read(of_body)
    whole = (len(head), len(body)) == (of_head, of_body)
    return (json.loads(head), body) if whole else None


class Frames:
    """Assembles frames from pieces of a pipe's bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[Head, bytes]]:
        """Add a piece, and yield the frames that are now complete.

        Raises:
            ValueError: this is not a frame.
        """
        self._bytes += piece
        while len(self._bytes) >= SIZES.size:
            of_head, of_body = SIZES.unpack_from(self._bytes)
            if of_head > MAX_HEAD or of_body > MAX_BODY:
                raise ValueError(f"a frame of {of_head} and {of_body} bytes")
            end = SIZES.size + of_head + of_body
            if len(self._bytes) < end:
                return
            with memoryview(self._bytes) as seen:
                head = _head(bytes(seen[SIZES.size : SIZES.size + of_head]))
                body = bytes(seen[SIZES.size + of_head : end])
            del self._bytes[:end]
            yield head, body


def _head(encoded: bytes) -> Head:
    head = parse_json(encoded)
    if not isinstance(head, dict):
        raise ValueError(f"a frame's head is a {type(head).__name__}")
    return head
