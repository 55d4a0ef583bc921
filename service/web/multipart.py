"""The one file of a form (multipart/form-data, RFC 7578), in memory: nothing goes to disk."""

from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from service.errors import InputError, quoted

MAX_HEADER_BYTES = 4096  # of a part
FIELD = "image"  # the name of the part


@dataclass(frozen=True)
class Upload:
    """A file of a form."""

    name: str  # that its sender gave it; may be anything
    content: bytes


def uploaded(content_type: str, body: bytes) -> Upload:
    """Return the file in a form's field `image`.

    Raises:
        InputError: the form is malformed, or has another field, or several files.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary:
        raise InputError("the form's content-type has no boundary", FIELD)
    # Each part begins after a delimiter; the first delimiter has no line break before it.
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace"), 3)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        found = "has no part" if len(parts) < 2 else "has no end, or more than one part"
        raise InputError(f"the form {found}; expected one, of a field named {FIELD!r}", FIELD)
    head, blank, content = parts[0].partition(b"\r\n\r\n")
    if not blank or len(head) > MAX_HEADER_BYTES:
        raise InputError("the form's part has no headers, or too long ones", FIELD)
    # Names come in UTF-8 as it is.
    part = HeaderParser().parsestr(head.decode("utf-8", "replace").lstrip())
    field = str(part.get_param("name", "", "content-disposition"))
    if field != FIELD:
        raise InputError(f"the form has a field named {quoted(field)}; expected {FIELD!r}", FIELD)
    return Upload(part.get_filename() or "", content)
