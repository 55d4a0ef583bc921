"""Names of files that are no UTF-8, as text that tables can hold, and back."""

import re

ESCAPED = re.compile(r"\\udc([89a-f][0-9a-f])")


def printable(name: str) -> str:
    r"""Return a name as UTF-8 can encode it: a byte that is none, E9 say, becomes `\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def names_of(source: str) -> tuple[str, ...]:
    """Return the names that a file of a table's source may have: as it is, or a `printable` one."""
    name = ESCAPED.sub(lambda byte: chr(0xDC00 + int(byte[1], 16)), source)
    return (source,) if name == source else (source, name)
