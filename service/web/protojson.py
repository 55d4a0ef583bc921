"""Messages of the schema as JSON (ProtoJSON), bounded: this process serves everybody."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from service.errors import MalformedMessage

QUICK_BYTES = 64 * 1024  # above which the work is done beside the event loop
MAX_VALUES = 100_000  # in a body; an image is one value, however large
MAX_ANSWER_BYTES = 4 * 2**20  # of a serialized message; as JSON, it is several times as large
FIELD = re.compile(r"Failed to parse (\w+) field: ")

Result = TypeVar("Result")
SomeMessage = TypeVar("SomeMessage", bound=Message)


async def from_json(body: bytes, kind: type[SomeMessage]) -> SomeMessage:
    """Parse a message.

    Raises:
        MalformedMessage: says what is wrong with the body, and where.
    """
    check_values(body)
    return await beside(len(body), _parse, body, kind)


async def to_json(message: Message) -> bytes:
    """Return a message as JSON.

    Raises:
        MalformedMessage: it is too large for that.
    """
    size = message.ByteSize()
    if size > MAX_ANSWER_BYTES:
        raise MalformedMessage(
            f"the answer has {size:,} bytes; at most {MAX_ANSWER_BYTES:,} are turned into JSON; "
            "ask for application/proto, or leave out the scores",
            "include_scores",
        )
    return await beside(size, _print, message)


async def beside(size: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Do some work; beside the event loop where it is about many bytes."""
    if size > QUICK_BYTES:
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


def check_values(body: bytes) -> None:
    """Refuse a body that has too many values to be parsed quickly.

    Raises:
        MalformedMessage: it has.
    """
    if sum(map(body.count, (b",", b"{", b"["))) > MAX_VALUES:
        raise MalformedMessage(f"the body has more than {MAX_VALUES:,} values in JSON")


def _parse(body: bytes, kind: type[SomeMessage]) -> SomeMessage:
    message: SomeMessage = kind()
    try:
        json_format.Parse(body, message)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split()).rstrip(".")
        path = ".".join(map(_snake, FIELD.findall(said)))
        said = FIELD.sub("", said).removeprefix("Failed to load JSON: ")
        raise MalformedMessage(
            f"the body is not a {kind.DESCRIPTOR.full_name} in JSON: {path and f'{path}: '}{said}",
            path,
        ) from None
    return message


def _print(message: Message) -> bytes:
    fields = json_format.MessageToDict(message)
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def _snake(name: str) -> str:
    """Return a field's name as the schema has it, which errors name fields by."""
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
