"""JSON from outside: the type of its objects, and how it is parsed."""

import json
from typing import Any

JsonObject = dict[str, Any]  # by name; whoever takes one from outside checks what is in it


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - whoever parses checks what it is
    """Parse JSON.

    Raises:
        ValueError: it is none, or nested more deeply than can be parsed.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
