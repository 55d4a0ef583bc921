"""Damage that keeps enough of a format's structure for a decoder to go on."""

import struct
import zlib

from service.pb import recognizer_pb2 as pb

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)
NUMBERS = (0, 1, 2, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
IN_PATTERNS = ("(", ")", "[", "]", "{", "}", "?", "*", "+", "|", "\\", "\\d", "{2,}", "{,3}", "-")
PNG_START = b"\x89PNG\r\n\x1a\n"


def damage(kind, data, rng):
    """Change an input of a kind in one to four places."""
    if kind == "pattern":
        return damage_text(data.decode(errors="ignore"), rng).encode()
    if kind == "request" and rng.random() < 0.5:
        return damage_request(data, rng)
    for _ in range(rng.randint(1, 4)):
        data = change(data, rng)
    if kind == "review" and rng.random() < 0.5:
        return mend_review(data)
    return mend_png(data, rng) if kind in ("png", "page") else data


def change(data, rng):
    """Change, insert, remove, repeat or renumber some bytes."""
    if not data:
        return rng.randbytes(rng.randint(1, 9))
    at = rng.randrange(len(data))
    many = min(rng.choice((1, 1, 2, 4, 8, 32, 256)), len(data) - at)
    before, piece, after = data[:at], data[at : at + many], data[at + many :]
    match rng.randrange(7):
        case 0:
            piece = rng.randbytes(many)
        case 1:
            piece = bytes([rng.choice(INTERESTING)]) + piece[1:]
        case 2:
            piece = bytes([piece[0] ^ 1 << rng.randrange(8)]) + piece[1:]
        case 3:
            piece = b""
        case 4:
            piece *= rng.choice((2, 3, 100))
        case 5:
            layout = rng.choice(("<H", ">H", "<L", ">L"))
            size = struct.calcsize(layout)
            piece = struct.pack(layout, rng.choice(NUMBERS) % 256**size) + piece[size:]
        case _:
            source = rng.randrange(len(data))
            piece = data[source : source + many]
    return before + piece + after


def mend_png(data, rng):
    """Make the checksums right, without which nothing else is looked at; change pixels as such."""
    if not data.startswith(PNG_START):
        return data
    parts, at = [PNG_START], len(PNG_START)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if name == b"IDAT" and rng.random() < 0.3:
            body = repacked(body, rng)
        stated = length if rng.random() < 0.05 else None
        parts.append(chunk(name, body, stated))
        at += 12 + length
    return b"".join(parts)


def mend_review(data):
    """Make the checksums right, so that what the lines of a review's journal say is looked at."""
    before, lines = 0, []
    for line in data.split(b"\n"):
        text = line.partition(b" ")[2]
        before = zlib.crc32(text, before)
        lines.append(b"%08x %b" % (before, text) if line else b"")
    return b"\n".join(lines)


def chunk(name, body, stated=None):
    """A chunk of a PNG, which can tell a false length."""
    length = struct.pack(">L", len(body) if stated is None else stated)
    return length + name + body + struct.pack(">L", zlib.crc32(name + body))


def repacked(body, rng):
    """Change the rows within the pixels' deflated bytes."""
    try:
        return zlib.compress(change(zlib.decompressobj().decompress(body, 10**6), rng))
    except zlib.error:
        return body


def damage_text(text, rng):
    """Change a pattern by its own signs."""
    for _ in range(rng.randint(1, 5)):
        at = rng.randint(0, len(text))
        match rng.randrange(5):
            case 0:
                text = text[:at] + rng.choice(IN_PATTERNS) + text[at:]
            case 1:
                text = text[:at] + text[at + 1 :]
            case 2:
                text = (text + rng.choice(("", "|"))) * rng.randint(1, 3)
            case 3:
                text = f"({text}){rng.choice(('*', '+', '?', '{0,9}', '{99}', ''))}"
            case _:
                text = (
                    text[:at] + chr(rng.choice((0, 0x30, 0x39, 0x663, 0x20AC, 0x1F600))) + text[at:]
                )
    return text[:3000]


def damage_request(data, rng):
    """Change what a request asks, as a message that is still well formed."""
    try:
        request = pb.RecognizeRequest.FromString(data)
    except Exception:  # it is not well formed any more
        return change(data, rng)
    constraint = request.constraint
    match rng.randrange(7):
        case 0:
            constraint.pattern = damage_text(constraint.pattern, rng)
        case 1:
            texts = list(constraint.allowed) or ["1", "-"]
            constraint.allowed.append(damage_text(rng.choice(texts), rng))
        case 2:
            constraint.length.min = rng.choice((*NUMBERS, 3, 20))
            constraint.length.max = rng.choice((*NUMBERS, 3, 20))
        case 3:
            constraint.check_digit = rng.choice((*pb.CheckDigit.values(), 99, -1))
        case 4:
            request.alternatives = rng.choice(NUMBERS)
        case 5:
            rates = (0.0, -0.0, 0.5, 1.0, -1.0, 5e-324, float("nan"), float("inf"))
            request.accepted_error_rate = rng.choice(rates)
        case _:
            request.image.page = rng.choice(NUMBERS)
    return request.SerializeToString()
