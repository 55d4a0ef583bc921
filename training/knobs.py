"""Every knob of a training run as TOML: printed with its meaning, and read with what is changed."""

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Self, TypeGuard, TypeVar

from service.errors import SettingsError, quoted
from training.config import Config, KnobValues, PageConfigs, SequenceConfig, StripConfig

TITLES = {
    "windows": "the first stage: single windows, and strips whose positions are labeled",
    "lines": "the second stage: whole lines",
    "written": "made pages as people fill in fields; a plain number is a share, 0 to 1",
    "cells": "made pages of cells of forms",
    "digitized": "made pages of a digitizer's strokes",
}
# What `fit` has options for, which would contradict a file.
OPTIONS = {
    ("windows", "seed"): "--seed",
    ("windows", "epochs"): "--epochs",
    ("lines", "epochs"): "--strip-epochs",
    ("lines", "kept"): "--keep",
}
ASSIGNMENT = re.compile(r"^    (\w+): [^=]+ = .+?  # (.+)$")

Values = Mapping[str, KnobValues]  # by table and knob
SomeConfig = TypeVar("SomeConfig", Config, SequenceConfig, StripConfig)


@dataclass(frozen=True)
class Knobs:
    """The knobs that are changed, by table and name."""

    values: Values = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None, settings: Sequence[str] = ()) -> Self:
        """Read a TOML file, then settings such as `lines.steps=500`, which win.

        Raises:
            SettingsError: names the knob, what was seen and what is allowed.
        """
        values: dict[str, KnobValues] = {}
        texts = [(str(file), _content(file))] if file is not None else []
        texts += [(f"--set {quoted(each)}", each) for each in settings]
        for source, text in texts:
            try:
                tables = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise SettingsError(f"{source} is no TOML: {error}") from None
            for table, knobs in tables.items():
                known = _base(source, table)
                if not isinstance(knobs, dict):
                    raise SettingsError(
                        f"{source}: {table} is {knobs!r}; expected a table, or {table}.KNOB=VALUE"
                    )
                for name, value in knobs.items():
                    checked = _checked(source, known, table, name, value)
                    values.setdefault(table, {})[name] = checked
        return cls(values)

    def on(self, table: str, config: SomeConfig) -> SomeConfig:
        """Return a table's config with what is changed."""
        return replace(config, **self.values.get(table, {}))

    @property
    def pages(self) -> PageConfigs:
        """The made pages' knobs with what is changed."""
        usual = PageConfigs()
        return PageConfigs(
            self.on("written", usual.written),
            self.on("cells", usual.cells),
            self.on("digitized", usual.digitized),
        )


def defaults() -> dict[str, Config | SequenceConfig | StripConfig]:
    """Return the configs of all tables."""
    pages = PageConfigs()
    return {
        "windows": Config(),
        "lines": SequenceConfig(),
        "written": pages.written,
        "cells": pages.cells,
        "digitized": pages.digitized,
    }


def listing() -> Iterator[str]:
    """Yield the lines of a TOML file with every knob at its default, and what it means.

    Knobs that have an option of their own are left out.
    """
    meanings: dict[str, str] = {}
    for table, config in defaults().items():
        meanings |= meanings_of(type(config))
        yield f"[{table}]  # {TITLES[table]}"
        for name, value in config.to_dict().items():
            if (table, name) not in OPTIONS:
                yield f"{name} = {_written(value)}  # {meanings[name]}"
        yield ""


def meanings_of(config: type) -> dict[str, str]:
    """Return what the comments beside a config's fields say."""
    lines, _ = inspect.getsourcelines(config)
    found = (ASSIGNMENT.match(line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _written(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_written, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _content(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from error


def _base(source: str, table: str) -> Config | SequenceConfig | StripConfig:
    tables = defaults()
    if table not in tables:
        raise SettingsError(
            f"{source}: there is no table {quoted(table)}{_meant(table, tables)}; there are "
            + ", ".join(tables)
        )
    return tables[table]


def _checked(
    source: str,
    config: Config | SequenceConfig | StripConfig,
    table: str,
    name: str,
    value: object,
) -> object:
    """Return a knob's value as its config has it."""
    names = [each.name for each in fields(config)]
    if name not in names:
        raise SettingsError(
            f"{source}: {table} has no knob {quoted(name)}{_meant(name, names)}; "
            "`digitstrip-train config` prints all"
        )
    if option := OPTIONS.get((table, name)):
        raise SettingsError(f"{source}: {table}.{name} has an option of its own, {option}")
    usual = getattr(config, name)
    if isinstance(usual, tuple):
        ends = [each for each in value if _is_number(each)] if isinstance(value, list) else []
        if value == sorted(ends) and len(ends) == len(usual):
            return tuple(type(usual[0])(each) for each in ends)
        raise _unlike(source, table, name, value, "two numbers, the lower first")
    if isinstance(usual, bool):
        if isinstance(value, bool):
            return value
        raise _unlike(source, table, name, value, "true or false")
    if isinstance(usual, int):
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise _unlike(source, table, name, value, "a whole number, 0 or more")
    if not _is_number(value):
        raise _unlike(source, table, name, value, "a number")
    if isinstance(config, StripConfig) and not 0 <= value <= 1:
        raise _unlike(source, table, name, value, "a share from 0 to 1")
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _unlike(source: str, table: str, name: str, value: object, expected: str) -> SettingsError:
    return SettingsError(f"{source}: {table}.{name} is {value!r}; expected {expected}")


def _meant(name: str, names: Iterator[str] | Sequence[str] | Mapping[str, object]) -> str:
    near = get_close_matches(name, list(names), 1)
    return f" (did you mean {near[0]}?)" if near else ""
