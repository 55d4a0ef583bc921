"""A form's files to the schema's message; what is in them is not looked into."""

import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import BadForm, InputError, NoSuchForm, quoted
from service.imaging.files import open_regular
from service.imaging.limits import Limits
from service.pb import recognizer_pb2 as pb

MAX_TEMPLATE_BYTES = 2**20
LISTED = 5  # names that an error lists


def read_form(path: Path, limits: Limits | None = None) -> pb.Form:
    """Read a template, and the reference that it names, which is found beside it.

    Args:
        path: of the template.
        limits: of the reference; None, the defaults.

    Raises:
        BadForm: one cannot be read, or is too large.
    """
    encoded = _read(path, MAX_TEMPLATE_BYTES, "form.template")
    try:
        template = encoded.decode("utf-8-sig")
        name = tomllib.loads(template).get("reference")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadForm(f"{path}: it is not TOML: {error}", "form.template") from error
    except RecursionError as error:
        raise BadForm(f"{path}: it is nested too deeply", "form.template") from error
    form = pb.Form(template=template, name=path.stem)
    if isinstance(name, str) and name:  # another type is a mistake that the template's check names
        max_bytes = (limits or Limits()).max_bytes
        form.reference.encoded = _read(path.parent / name, max_bytes, "form.reference", f"{path}: ")
    return form


def templates(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield templates, and those of folders: their `*.toml`, by name.

    Raises:
        BadForm: a folder has none.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        if not (found := sorted(path.glob("*.toml"))):
            raise BadForm(f"{path} has no template; expected files that end in .toml")
        yield from found


def no_such_form(name: str, known: Iterable[str]) -> NoSuchForm:
    """Return the error of a name that no form has; a few of those that there are are listed."""
    listed = ", ".join(quoted(each) for each in sorted(known)[:LISTED])
    expected = f"expected one such as {listed}" if listed else "the server has none"
    return NoSuchForm(f"there is no form {quoted(name)}; {expected}")


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Name the template's file in the sentence of a mistake."""
    try:
        yield
    except BadForm as error:
        raise BadForm(f"{path}: {error}", error.field) from error


def _read(path: Path, most: int, field: str, begin: str = "") -> bytes:
    what = f"{begin}{'reference: ' if begin else ''}"
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except (OSError, InputError, ValueError) as error:  # a ValueError is a name with a null
        why = getattr(error, "strerror", None) or str(error)
        raise BadForm(f"{what}cannot read {path}: {why}", field) from error
    if len(content) > most:
        raise BadForm(f"{what}{path} has over {most:,} bytes, the most that are allowed", field)
    return content
