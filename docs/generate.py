"""Write the generated parts of the documentation: `make docs`.

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->` in a page. It is derived from
the code that it describes: settings, commands, errors. `tests/docs` fails while one is stale.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from inspect import Parameter, signature
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import get_args

import typer
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from pydantic.fields import FieldInfo
from typer.models import ArgumentInfo

import digitstrip
from service import errors
from service.cli.main import app
from service.serving.observability.metrics import PREFIX, Live, Metrics
from service.serving.settings import Settings
from training.cli.main import app as training_app
from training.config import StripConfig
from training.knobs import meanings_of

DOCS = Path(__file__).parent
SCHEMA = DOCS.parent / "proto" / "digitstrip" / "v1" / "recognizer.proto"
FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {
    value.number: value.name[5:].lower()
    for value in FIELD.DESCRIPTOR.enum_types_by_name["Type"].values
}
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
        full_name = f"{name} {command.__name__.replace('_', '-')}"
        yield f"### {full_name}\n"
        yield "    " + " ".join([full_name, *usage, "[OPTIONS]"]) + "\n"
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


def schema() -> Iterator[str]:
    """Yield the schema's service, messages and enumerations, by the comments of its source."""
    comments = {
        tuple(each.path): " ".join(each.leading_comments.split())
        for each in _schema().source_code_info.location
    }
    # Paths count fields of descriptor.proto: 6 services, 4 messages, 5 enumerations.
    for number, service in enumerate(_schema().service):
        yield f"### {service.name}\n\n{comments[6, number]}\n"
        yield "| method | request | response | what it does |"
        yield "|---|---|---|---|"
        for index, method in enumerate(service.method):
            asked = f"{'stream of ' * method.client_streaming}{_link(method.input_type)}"
            answered = f"{'stream of ' * method.server_streaming}{_link(method.output_type)}"
            what = _cell(comments[6, number, 2, index])
            yield f"| `{method.name}` | {asked} | {answered} | {what} |"
        yield ""
    for number, message in enumerate(_schema().message_type):
        yield f"### {message.name}\n\n{comments[4, number]}\n"
        if message.field:
            yield "| field | type | what it is |"
            yield "|---|---|---|"
        for index, field in enumerate(message.field):
            kind = _link(field.type_name) if field.type_name else f"`{TYPES[field.type]}`"
            many = "list of " if field.label == field.LABEL_REPEATED else ""
            what = _cell(comments[4, number, 2, index])
            if field.HasField("oneof_index") and not field.proto3_optional:
                what += f" One of `{message.oneof_decl[field.oneof_index].name}`."
            yield f"| `{field.name}` | {many}{kind} | {what} |"
        yield ""
    for number, enum in enumerate(_schema().enum_type):
        yield f"### {enum.name}\n\n{comments[5, number]}\n"
        yield "| value | number | what it means |"
        yield "|---|---|---|"
        for index, value in enumerate(enum.value):
            yield f"| `{value.name}` | {value.number} | {_cell(comments[5, number, 2, index])} |"
        yield ""


@cache
def _schema() -> descriptor_pb2.FileDescriptorProto:
    """Return the schema with its comments."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "schema"
        includes = [f"-I{SCHEMA.parents[2]}", f"-I{files('grpc_tools') / '_proto'}"]
        flags = ["--include_source_info", f"--descriptor_set_out={out}", str(SCHEMA)]
        if protoc.main(["protoc", *includes, *flags]):
            raise SystemExit("the schema cannot be compiled")
        (file,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
        return file


def _link(name: str) -> str:
    """Return a type's name, with a link if it is one of the schema's own."""
    own, _, short = name.rpartition(".")
    return f"[`{short}`](#{short.lower()})" if own == ".digitstrip.v1" else f"`{name[1:]}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def python() -> Iterator[str]:
    """Yield the public package's functions and classes, by their docstrings."""
    for name in digitstrip.__all__:
        each = getattr(digitstrip, name)
        if isinstance(each, type) and issubclass(each, Exception):
            continue
        yield f"### digitstrip.{name}\n"
        yield from _documented(name, each)
        if not isinstance(each, type):
            continue
        for member in (found for found in dir(each) if not found.startswith("_")):
            value = inspect.getattr_static(each, member)
            if isinstance(value, property):
                yield from _documented(f"{name}.{member}", value.fget, is_property=True)
            elif inspect.isfunction(getattr(each, member)):
                yield from _documented(f"{name}.{member}", getattr(each, member))


def _documented(name: str, each: Callable[..., object], is_property: bool = False) -> Iterator[str]:
    """Yield a signature, as its source has it, and a docstring."""
    made = getattr(each, "__init__", each) if isinstance(each, type) else each
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(made))).body
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        arguments = re.sub(r"^self(, )?", "", ast.unparse(function.args))
        returns = ast.unparse(function.returns) if function.returns else "None"
        awaited = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    except (OSError, SyntaxError):  # a dataclass's constructor has no source
        arguments = str(inspect.signature(each)).partition("(")[2].rpartition(")")[0]
        returns, awaited = "None", ""
    if is_property:
        shown = f"{name}: {returns}"
    else:
        shown = f"{awaited}{name}({arguments})" + (f" -> {returns}" if returns != "None" else "")
    yield "```text"
    yield from textwrap.wrap(shown, 96, subsequent_indent="        ", break_on_hyphens=False)
    yield ""
    yield from ("    " + line if line else "" for line in (inspect.getdoc(each) or "").split("\n"))
    yield "```\n"


def metrics() -> Iterator[str]:
    """Yield the table of the server's metrics, without those of its process."""
    pool = SimpleNamespace(groups=[], pids=[], deaths=0)
    live = Live(pool, SimpleNamespace(total=0), lambda: 0, lambda: 0.0, lambda: 0)  # type: ignore[arg-type]  # of no load
    registry = Metrics(live).registry
    yield "| metric | kind | labels | what it is |"
    yield "|---|---|---|---|"
    labels = {
        name: of for of in registry._collector_to_names for name in registry._collector_to_names[of]
    }
    for family in registry.collect():
        if family.name.startswith(PREFIX):
            found = getattr(family, "_labelnames", ()) or getattr(
                labels.get(family.name), "_labelnames", ()
            )
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            shown = ", ".join(f"`{each}`" for each in found)
            yield f"| `{family.name}{suffix}` | {family.type} | {shown} | {family.documentation} |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "digitstrip": lambda: commands("digitstrip", app),
    "digitstrip-train": lambda: commands("digitstrip-train", training_app),
    "errors": reasons,
    "effects": effects,
    "schema": schema,
    "python": python,
    "metrics": metrics,
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
