"""Optional dependencies: a missing one is reported with the libraries that its extra installs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

from service.errors import MissingExtra


@contextmanager
def needs(extra: str, why: str) -> Iterator[None]:
    """Guard the imports of an extra's libraries.

    Raises:
        MissingExtra: a library is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        libraries = " ".join(libraries_of(extra)) or str(error.name)
        raise MissingExtra(f"{why} (the extra `{extra}`): pip install {libraries}") from error


def libraries_of(extra: str) -> list[str]:
    """Return an extra's requirements, quoted for a shell; Digitstrip itself is in no registry."""
    try:
        found = [each.partition(";") for each in requires("digitstrip") or ()]
    except PackageNotFoundError:  # run from a checkout that is not installed
        return []
    return [
        f"'{library.strip()}'"
        for library, _, marker in found
        if marker.replace("'", '"').replace(" ", "") == f'extra=="{extra}"'
    ]
