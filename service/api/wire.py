"""Fields of serialized protobuf messages, without parsing the rest or copying what they hold.

The process that speaks gRPC passes messages through as bytes. Of an image it needs only the size
that its first bytes declare, and of a stream's request only the id.
Encoding: https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

from service.errors import MalformedMessage
from service.imaging.formats import declared_pixels
from service.pb import recognizer_pb2 as pb

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)  # wire types
MOST_GROUPS = 100  # inside each other, as protobuf has it
MOST_BYTES = 2**31 - 1  # of a field, as protobuf has it
VARINT_BITS = 64


def malformed(kind: str, size: int) -> MalformedMessage:
    """Return the error for bytes that are not a message of a kind."""
    return MalformedMessage(f"a message of {size} bytes is not a digitstrip.v1.{kind}")


def request_pixels(request: bytes) -> int:
    """Return how many pixels the image of a serialized RecognizeRequest declares.

    Returns:
        The pixels; 0 if the image does not declare them.

    Raises:
        MalformedMessage: the bytes are not a RecognizeRequest.
    """
    try:
        image = _last(memoryview(request), pb.RecognizeRequest.IMAGE_FIELD_NUMBER)
        return _image_pixels(image)
    except ValueError as error:
        raise malformed("RecognizeRequest", len(request)) from error


def request_constraint(request: bytes) -> bytes:
    """Return the constraint of a serialized RecognizeRequest, serialized; empty if it has none.

    Raises:
        MalformedMessage: the bytes are not a RecognizeRequest.
    """
    try:
        return b"".join(  # of a message that comes in several parts, protobuf merges all
            value
            for number, value in _fields(memoryview(request))
            if number == pb.RecognizeRequest.CONSTRAINT_FIELD_NUMBER and not isinstance(value, int)
        )
    except ValueError as error:
        raise malformed("RecognizeRequest", len(request)) from error


def form_request_pixels(request: bytes) -> int:
    """Return how many pixels the larger one of a RecognizeFormRequest's images declares.

    Returns:
        The pixels of the page, or of the form's reference; 0 if neither declares them.

    Raises:
        MalformedMessage: the bytes are not a RecognizeFormRequest.
    """
    kind = pb.RecognizeFormRequest
    try:
        message = memoryview(request)
        form = _last(message, kind.FORM_FIELD_NUMBER)
        reference = _last(form, pb.Form.REFERENCE_FIELD_NUMBER)
        page = _last(message, kind.IMAGE_FIELD_NUMBER)
        return max(_image_pixels(page), _image_pixels(reference))
    except ValueError as error:
        raise malformed("RecognizeFormRequest", len(request)) from error


def request_form(request: bytes) -> tuple[str | None, bytes]:
    """Return the form's name of a serialized RecognizeFormRequest, or else the form, serialized.

    Raises:
        MalformedMessage: the bytes are not a RecognizeFormRequest.
    """
    kind = pb.RecognizeFormRequest
    name, form = None, b""
    try:
        for number, value in _fields(memoryview(request)):
            if isinstance(value, int):
                continue
            if number == kind.FORM_NAME_FIELD_NUMBER:  # of both, the last one counts
                name, form = bytes(value).decode(), b""  # a UnicodeDecodeError is a ValueError
            elif number == kind.FORM_FIELD_NUMBER:
                name, form = None, form + bytes(value)
    except ValueError as error:
        raise malformed("RecognizeFormRequest", len(request)) from error
    return name, form


def with_form(request: bytes, form: bytes) -> bytes:
    """Return a serialized RecognizeFormRequest with another form, serialized, for what it named."""
    return b"".join([request, *_bytes_field(pb.RecognizeFormRequest.FORM_FIELD_NUMBER, form)])


def _image_pixels(image: memoryview) -> int:
    encoded, raster = memoryview(b""), memoryview(b"")
    for number, value in _fields(image):
        if isinstance(value, memoryview):
            if number == pb.Image.ENCODED_FIELD_NUMBER:
                encoded = value
            elif number == pb.Image.RASTER_FIELD_NUMBER:
                raster = value
    sides = {pb.GrayRaster.WIDTH_FIELD_NUMBER: 0, pb.GrayRaster.HEIGHT_FIELD_NUMBER: 0}
    for number, value in _fields(raster):
        if number in sides and isinstance(value, int):
            sides[number] = value & 0xFFFFFFFF
    width, height = sides.values()
    return width * height or declared_pixels(bytes(encoded))


def split_stream_request(request: bytes) -> tuple[bytes, bytes]:
    """Return the id and the request of a serialized RecognizeStreamRequest, serialized.

    A RecognizeFormStreamRequest has them in the same fields, and so have their responses.

    Raises:
        MalformedMessage: the bytes are neither.
    """
    try:
        message = memoryview(request)
        return (
            bytes(_last(message, pb.RecognizeStreamRequest.ID_FIELD_NUMBER)),
            bytes(_last(message, pb.RecognizeStreamRequest.REQUEST_FIELD_NUMBER)),
        )
    except ValueError as error:
        raise malformed("RecognizeStreamRequest", len(request)) from error


def join_stream_response(id_: bytes, response: bytes) -> bytes:
    """Return a serialized RecognizeStreamResponse of an id and a serialized RecognizeResponse."""
    return b"".join(
        [
            *_bytes_field(pb.RecognizeStreamResponse.ID_FIELD_NUMBER, id_),
            *_bytes_field(pb.RecognizeStreamResponse.RESPONSE_FIELD_NUMBER, response),
        ]
    )


def join_stream_error(id_: bytes, error: pb.Error) -> bytes:
    """Return a serialized RecognizeStreamResponse of an id and an error."""
    return b"".join(
        [
            *_bytes_field(pb.RecognizeStreamResponse.ID_FIELD_NUMBER, id_),
            *_bytes_field(pb.RecognizeStreamResponse.ERROR_FIELD_NUMBER, error.SerializeToString()),
        ]
    )


def _last(message: memoryview, wanted: int) -> memoryview:
    """Return the last field of a number, which is the one that counts; empty if there is none."""
    found = memoryview(b"")
    for number, value in _fields(message):
        # One of another wire type is unknown to the schema, and skipped as such.
        if number == wanted and isinstance(value, memoryview):
            found = value
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of every varint and every field of bytes.

    Raises:
        ValueError: the bytes are not a message.
    """
    at, end = 0, len(message)
    groups: list[int] = []  # that are open; the schema knows none, so what they hold is skipped
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise ValueError(f"field number {number}")
        if kind == GROUP:
            groups.append(number)
            if len(groups) > MOST_GROUPS:
                raise ValueError(f"more than {MOST_GROUPS} groups inside each other")
        elif kind == GROUP_END:
            if not groups or groups.pop() != number:
                raise ValueError(f"group {number} ends and was not open")
        else:
            value, at = _value(message, at, kind)
            if not groups and kind in (VARINT, BYTES):  # the messages read here have no others
                yield number, value
    if groups:
        raise ValueError(f"group {groups[-1]} has no end")


def _value(message: memoryview, at: int, kind: int) -> tuple[int | memoryview, int]:
    """Return the value that begins at a byte, and where it ends."""
    if kind == VARINT:
        return _varint(message, at)
    if kind == BYTES:
        size, at = _varint(message, at)
    elif kind in (FIXED32, FIXED64):
        size = 4 if kind == FIXED32 else 8
    else:
        raise ValueError(f"wire type {kind}")
    left = len(message) - at
    if size > min(left, MOST_BYTES):
        raise ValueError(f"a field of {size} bytes, {left} are left")
    return message[at : at + size], at + size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, VARINT_BITS + 6, 7):
        if at == len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a varint has no end")


def _bytes_field(number: int, value: bytes) -> tuple[bytes, bytes]:
    head = bytearray([number << 3 | BYTES])
    size = len(value)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head), value
