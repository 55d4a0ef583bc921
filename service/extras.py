"""Optional dependencies: a missing one is reported with the extra that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import MissingExtra


@contextmanager
def needs(extra: str, why: str) -> Iterator[None]:
    """Guard the imports of an extra's libraries.

    Raises:
        MissingExtra: a library is not installed; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{why}: pip install 'digitstrip[{extra}]'") from error
