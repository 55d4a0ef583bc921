"""The type of a JSON object, whose values the type checker does not know."""

from typing import Any

JsonObject = dict[str, Any]  # by name; whoever takes one from outside checks what is in it
