"""Libraries that only some commands need: what is missing is told with the extra that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import MissingExtra


@contextmanager
def needs(extra: str, why: str) -> Iterator[None]:
    """Import an extra's libraries inside; one that is not there is told in a sentence.

    Raises:
        MissingExtra: with the extra to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{why}: pip install 'digitstrip[{extra}]'") from error
