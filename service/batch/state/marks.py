"""Fingerprints of inputs and settings, by which a run knows whether it may resume."""

import hashlib
import json
from collections.abc import Mapping

from service.batch.job import Setting
from service.inputs.items import Item

REFRESH = "--refresh reads again what changed"
MARK = 16  # bytes of an item's fingerprint


def mark(item: Item) -> bytes:
    """Return the fingerprint of an item as it was listed."""
    listed = f"{item.source}\0{item.identity}\0{item.page}\0{item.id}\0{item.trouble}"
    return hashlib.blake2b(
        listed.encode("utf-8", "surrogateescape") + item.constraint, digest_size=MARK
    ).digest()


def differences(begun: Mapping[str, Setting], settings: Mapping[str, Setting]) -> str:
    """Return in words which settings differ, and what can be done."""
    changed = ", ".join(
        f"{key} was {json.dumps(begun.get(key))} and is {json.dumps(settings.get(key))}"
        for key in {**settings, **begun}
        if begun.get(key) != settings.get(key)
    )
    return f"{changed}; {REFRESH}"
