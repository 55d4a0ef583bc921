"""Write the generated parts of the documentation: `make docs`.

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->` in a page. It is derived from
the code that it describes: settings, commands, errors. `tests/docs` fails while one is stale.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from inspect import Parameter, signature
from pathlib import Path
from typing import get_args

import typer
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo

from service import errors
from service.cli.main import app
from service.serving.settings import Settings
from training.cli.main import app as training_app
from training.config import StripConfig
from training.knobs import meanings_of

DOCS = Path(__file__).parent
PART = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)
DERIVED = {  # defaults that are no constants
    "workers": "the usable CPUs",
    "model": "the shipped one",
    "second_reader": "the shipped one",
}
RETRIED = (errors.ServerUnavailable, errors.Overloaded)


def settings() -> Iterator[str]:
    """Yield the table of the server's settings."""
    yield "| setting | default | what it is |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `{name}` | {_default(name, field)} | {field.description} |"


def _default(name: str, field: FieldInfo) -> str:
    if name in DERIVED:
        return DERIVED[name]
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{each}"' for each in value) + "]`"
    return f"`{value}`" if value not in (None, "") else "none"


def effects() -> Iterator[str]:
    """Yield the table of made pages' effects, each with its picture."""
    meanings = meanings_of(StripConfig)
    yield "| effect | usual share | what it is | a page without it, and one with it |"
    yield "|---|---|---|---|"
    for name in StripConfig.switches():
        picture = f"![{name}](effects/{name}.png)"
        yield f"| `{name}` | {getattr(StripConfig(), name):g} | {meanings[name]} | {picture} |"


def commands(name: str, program: typer.Typer) -> Iterator[str]:
    """Yield each command of a program with its arguments and options."""
    for registered in program.registered_commands:
        command = registered.callback
        assert command is not None
        parameters = [_Parameter.of(each) for each in signature(command).parameters.values()]
        usage = [each.names for each in parameters if each.argument]
        yield f"### {name} {command.__name__}\n"
        yield "    " + " ".join([name, command.__name__, *usage, "[OPTIONS]"]) + "\n"
        yield _one_line_paragraphs(command.__doc__ or "") + "\n"
        yield "| option | default | what it is |"
        yield "|---|---|---|"
        for each in parameters:
            yield f"| `{each.names}`{each.values} | {each.default} | {each.help} |"
        yield ""
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from commands(f"{name} {group.name}", group.typer_instance)


@dataclass(frozen=True)
class _Parameter:
    """An argument or option, in the words of a table's cells."""

    argument: bool
    names: str
    values: str
    default: str
    help: str

    @classmethod
    def of(cls, parameter: Parameter) -> "_Parameter":
        """Describe a parameter of a command's function, which is annotated as typer wants it."""
        kind, info = get_args(parameter.annotation)
        argument = isinstance(info, ArgumentInfo)
        plain = next(each for each in (*get_args(kind), kind) if each is not type(None))
        # In an Annotated, the first name stands where the default would.
        first = [info.default] if isinstance(info.default, str) else []
        names = [*first, *(info.param_decls or [])]
        if argument:
            names = [info.metavar or parameter.name.upper()]
        elif not names:
            names = [f"--{parameter.name.replace('_', '-')}"]
        choices = [each.value for each in plain] if issubclass(plain, StrEnum) else []
        values = ", ".join(f"`{each}`" for each in choices)
        if not (choices or argument or plain is bool):
            values = info.metavar or {str: "TEXT", int: "N", float: "X"}.get(plain, "PATH")
        variable = f" Also `{info.envvar}`." if info.envvar else ""
        return cls(
            argument,
            "`, `".join(names),
            f" {values}".replace("|", "\\|") if values else "",
            _shown(parameter.default),
            " ".join((info.help or "").split()).replace("|", "\\|") + variable,
        )


def _shown(default: object) -> str:
    match default:
        case Parameter.empty:
            return "required"
        case None | False:
            return ""
        case Path():
            return f"`{default.name}`"
        case _:
            return f"`{default}`"


def _one_line_paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


def reasons() -> Iterator[str]:
    """Yield the table of the error tree."""
    yield "| class | reason | gRPC status | retried | what it means |"
    yield "|---|---|---|---|---|"
    for depth, kind in _tree(errors.DigitstripError):
        meaning = (kind.__doc__ or "").strip().partition("\n")[0]
        retried = "yes" if issubclass(kind, RETRIED) else "no"
        name = "&nbsp;&nbsp;" * depth + f"`{kind.__name__}`"
        yield f"| {name} | `{kind.reason}` | {kind.code} | {retried} | {meaning} |"


def _tree(
    kind: type[errors.DigitstripError], depth: int = 0
) -> Iterator[tuple[int, type[errors.DigitstripError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "digitstrip": lambda: commands("digitstrip", app),
    "digitstrip-train": lambda: commands("digitstrip-train", training_app),
    "errors": reasons,
    "effects": effects,
}


def rendered(page: str) -> str:
    """Return a page with its generated parts as they should be."""
    return PART.sub(
        lambda part: part[1] + "\n".join(PARTS[part[2]]()).rstrip() + "\n" + part[3], page
    )


def main() -> None:
    """Rewrite every page."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        path.write_text(rendered(page), encoding="utf-8")


if __name__ == "__main__":
    main()
