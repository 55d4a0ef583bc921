"""Templates of forms: `form.toml` checked, to a form whose places are millimeters of its page."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from service.api.options import to_fields
from service.api.requests import to_constraint, to_page
from service.errors import BadConstraint, BadForm, InputError, quoted
from service.forms.files import MAX_TEMPLATE_BYTES, of_file, read_form
from service.forms.page_print import Print, thin_print
from service.forms.places import Box, Warp
from service.imaging.limits import Limits
from service.imaging.page import Gray
from service.json_object import JsonObject
from service.pb import recognizer_pb2 as pb

MAX_SIDE_MM = 1200.0  # of a page: A0's longer side
MAX_FIELDS = 500
MM_PER_INCH = 25.4
MARKERS = 50  # ids of the dictionary that markers are of, from 0
MOST_PRINTED = 0.25  # share of a box that thin print may cover
SCALE = 8.0  # pixels a mm at which that is measured
MAX_BOX_MM2 = 100_000.0  # of a field: 14 million pixels of a crop
FEWEST_MARKS, MOST_MARKS = 3, 16
MOST_PATCHES = 16

Length = Annotated[float, Field(gt=0, le=MAX_SIDE_MM, allow_inf_nan=False)]
Place = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Point = tuple[Place, Place]


class _Table(BaseModel):
    """A table of a template; a key that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PageTable(_Table):
    """`[page]`: how large the page is, and what boxes are measured in."""

    width: Length | None = None  # mm
    height: Length | None = None  # mm
    dpi: Annotated[float, Field(ge=50, le=2400)] | None = None  # of the reference; in place of them

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        sides = (self.width, self.height)
        if self.dpi is None and None in sides:
            raise ValueError("expected width and height in mm, or the dpi of the reference")
        if self.dpi is not None and sides != (None, None):
            raise ValueError("expected either width and height, or dpi; there are both")
        return self


class RegistrationTable(_Table):
    """`[registration]`: how a page is laid on the template, and how well it must lie."""

    by: Literal["corners", "patches", "features", "none"]
    marks: Annotated[list[Point], Field(min_length=FEWEST_MARKS, max_length=MOST_MARKS)] | None = (
        None  # centers
    )
    side: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None  # of a mark
    aruco: list[Annotated[int, Field(ge=0, lt=MARKERS)]] | None = None  # ids, in the marks' order
    patches: (  # of the reference, whose print is on every page: left, top, width, height
        Annotated[
            list[tuple[Place, Place, Length, Length]], Field(min_length=1, max_length=MOST_PATCHES)
        ]
        | None
    ) = None
    residual: Annotated[float, Field(gt=0, le=2)] = 0.5  # mm; more is misregistered
    inliers: Annotated[float, Field(ge=0.3, le=1)] | None = None  # share; less is misregistered

    @property
    def least_inliers(self) -> float:
        """Share of the print that must be in its place.

        Of patches, which are few, another form may have up to half by chance: it has words, too.
        """
        return self.inliers or (0.7 if self.by == "patches" else 0.5)

    @model_validator(mode="after")
    def _marks_for_corners(self) -> Self:
        if self.by == "corners":
            if self.marks is None or self.side is None:
                raise ValueError('by = "corners" needs marks (their centers) and their side')
            if self.aruco is not None and len(self.aruco) != len(self.marks):
                raise ValueError(
                    f"there are {len(self.marks)} marks and {len(self.aruco)} ids in aruco; "
                    "expected as many"
                )
            if self.aruco is not None and len(set(self.aruco)) < len(self.aruco):
                raise ValueError("an id stands twice in aruco; expected another for each mark")
        elif (self.marks, self.side, self.aruco) != (None, None, None):
            raise ValueError(f'marks, side and aruco are for by = "corners"; by is "{self.by}"')
        if (self.by == "patches") != (self.patches is not None):
            raise ValueError(
                'by = "patches" needs patches: boxes of the reference with print'
                if self.patches is None
                else f'patches are for by = "patches"; by is "{self.by}"'
            )
        return self


class CodeTable(_Table):
    """`[code]`: a QR code that is printed on the form, and what it says."""

    box: tuple[Place, Place, Length, Length]  # left, top, width, height
    text: Annotated[str, Field(min_length=1, max_length=500)]


class FieldTable(_Table):
    """`[[field]]`: a box to read, and what is known of what stands in it."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.\- ]+$")]
    box: tuple[Place, Place, Place, Place]  # left, top, width, height
    length: int | str | None = None
    pattern: str | None = None
    allowed: list[str] | None = None
    check: str | None = None
    blank: bool = True  # whether it may be left blank
    search: Annotated[float, Field(ge=0, le=10)] = 1.0  # mm by which print at the box may be off
    comb: Annotated[int, Field(ge=1, le=255)] | None = None  # printed cells

    @model_validator(mode="after")
    def _what_is_given_holds(self) -> Self:
        if min(self.box[2:]) <= 0:
            raise ValueError(
                f"the box is {self.box[2]:g} wide and {self.box[3]:g} high; expected left, top, "
                "width, height, the last two above 0"
            )
        if self.pattern == "":
            raise ValueError("the pattern is empty; leave it out to allow every string")
        if self.allowed == []:
            raise ValueError("the list of allowed strings is empty; leave it out to allow all")
        if self.comb is not None and self.search >= self.box[2] / self.comb / 2:
            raise ValueError(
                f"search is {self.search:g}, half a cell of the comb or more; expected less, or "
                "the next cell could be taken for it"
            )
        try:
            to_constraint(self.constraint())
        except BadConstraint as error:
            raise ValueError(str(error)) from error
        return self

    def constraint(self) -> pb.Constraint:
        """Return the message of what the string must satisfy; a comb has a digit a cell at most.

        Raises:
            BadConstraint: a value is malformed.
        """
        request = to_fields(
            length=self.length
            if self.length is not None or self.comb is None
            else f"0-{self.comb}",
            pattern=self.pattern,
            allowed=self.allowed or (),
            check_digit=self.check,
        )
        given = request.constraint.length
        if self.comb is not None and max(given.min, given.max) > self.comb:
            raise BadConstraint(
                f"the length goes to {max(given.min, given.max)}; the comb has {self.comb} cells"
            )
        return request.constraint


class Template(_Table):
    """A template as its file has it."""

    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    reference: Annotated[str, Field(min_length=1)] | None = None  # a scan of the blank form
    page: PageTable
    registration: RegistrationTable
    code: CodeTable | None = None
    field: Annotated[list[FieldTable], Field(min_length=1, max_length=MAX_FIELDS)]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        seen: set[str] = set()
        for each in self.field:
            if each.name in seen:
                raise ValueError(f"two fields have the name {each.name!r}; expected one of each")
            seen.add(each.name)
        if self.reference is None:
            by = self.registration.by
            if self.page.dpi is not None:
                raise ValueError("[page] has dpi, which is of a reference; there is no reference")
            if by in {"patches", "features"}:
                raise ValueError(f'by = "{by}" finds a reference in a page; there is none')
            if by == "corners" and self.registration.aruco is None:
                raise ValueError(
                    "squares look alike, upside down and on other forms, too; give a reference, "
                    "or print ArUco markers and give their ids as aruco"
                )
        return self


@dataclass(frozen=True)
class FormField:
    """A box to read."""

    name: str
    box: Box  # mm
    constraint: pb.Constraint
    blank: bool
    search: float  # mm
    comb: int | None


@dataclass(frozen=True)
class FormCode:
    """A QR code that a form has."""

    box: Box  # mm
    text: str


@dataclass(frozen=True, eq=False)
class Form:
    """A template that was checked, with its reference."""

    name: str
    width: float  # mm
    height: float  # mm
    registration: RegistrationTable
    marks: tuple[Box, ...]  # mm
    fields: tuple[FormField, ...]
    reference: Gray | None  # the blank form: the whole page, at any resolution
    print: Print | None  # of it
    code: FormCode | None = None


def load(path: Path, limits: Limits | None = None) -> Form:
    """Read a form's files, and build it.

    Raises:
        BadForm: a sentence for every mistake.
    """
    message = read_form(path, limits)
    with of_file(path):
        return build(message, limits or Limits())


def build(message: pb.Form, limits: Limits) -> Form:
    """Build a form.

    Args:
        message: its template and reference.
        limits: of the reference.

    Raises:
        BadForm: a sentence for every mistake.
    """
    template = parse(message.template)
    given = message.HasField("reference")
    if given != (template.reference is not None):
        raise BadForm(
            "reference: the form comes with one, and its template names none"
            if given
            else "reference: the template names one, and the form comes without",
            "form.reference",
        )
    reference = None
    if given:
        try:
            reference = to_page(message.reference, limits).gray
        except InputError as error:
            raise BadForm(f"reference: {error}", "form.reference") from error
    return to_form(template, reference, template.name or message.name)


def parse(text: str) -> Template:
    """Check the text of a template.

    Raises:
        BadForm: a sentence for every mistake.
    """
    size = len(text.encode())
    if size > MAX_TEMPLATE_BYTES:
        raise BadForm(
            f"the template has {size:,} bytes; at most {MAX_TEMPLATE_BYTES:,} are allowed",
            "form.template",
        )
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise BadForm(f"it is not TOML: {error}", "form.template") from error
    except RecursionError as error:
        raise BadForm("it is nested too deeply", "form.template") from error
    try:
        # Of a number without a fraction, TOML makes an integer, of an array a list.
        return Template.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        sentences = [_sentence(each, values) for each in error.errors(include_url=False)]
        raise BadForm("; ".join(dict.fromkeys(sentences)), "form.template") from error


def to_form(template: Template, reference: Gray | None, name: str) -> Form:
    """Return the form of a template, with all places in millimeters.

    Args:
        template: checked.
        reference: (height, width), the blank page, if the template has one.
        name: of the form.

    Raises:
        BadForm: a box or mark is not on the page, or the reference has too little print.
    """
    page, unit = template.page, 1.0
    if page.dpi is not None and reference is not None:
        unit = MM_PER_INCH / page.dpi
        height, width = (side * unit for side in reference.shape)
    else:
        width, height = page.width or 0.0, page.height or 0.0
    if max(width, height) > MAX_SIDE_MM:
        raise BadForm(
            f"the page is {width:.0f}×{height:.0f} mm; at most {MAX_SIDE_MM:.0f} mm are allowed"
        )
    if reference is not None:
        seen = reference.shape[1] / reference.shape[0]
        if not 0.97 < seen * height / width < 1.03:
            raise BadForm(
                f"the reference has {reference.shape[1]}×{reference.shape[0]} pixels, another "
                f"shape than the page of {width:g}×{height:g} mm; expected a scan of the whole page"
            )
    size = (width, height)
    fields = tuple(
        FormField(
            each.name,
            _on_page(_scaled(each.box, unit), size, f"field {each.name!r}: the box"),
            each.constraint(),
            each.blank,
            each.search,
            each.comb,
        )
        for each in template.field
    )
    for each in fields:
        if (area := each.box.width * each.box.height) > MAX_BOX_MM2:
            raise BadForm(
                f"field {each.name!r}: the box has {area:,.0f} mm²; "
                f"at most {MAX_BOX_MM2:,.0f} are allowed"
            )
    registration = template.registration
    side = (registration.side or 0.0) * unit
    marks = tuple(
        _on_page(
            Box(x * unit - side / 2, y * unit - side / 2, side, side),
            size,
            "registration: the mark",
        )
        for x, y in registration.marks or ()
    )
    code = None
    if template.code is not None:
        place = _on_page(_scaled(template.code.box, unit), size, "code: the box")
        code = FormCode(place, template.code.text)
    printed = None
    if reference is not None:
        patches = [
            _on_page(_scaled(each, unit), size, "registration: the patch")
            for each in registration.patches or ()
        ]
        printed = Print.of(reference, size, [field.box for field in fields], patches)
        printed.check()
        _check_boxes(fields, reference, size)
    return Form(name, width, height, registration, marks, fields, reference, printed, code)


def _check_boxes(fields: tuple[FormField, ...], reference: Gray, size: tuple[float, float]) -> None:
    """Check that boxes have room to write in: print is erased, with what is written on it.

    Raises:
        BadForm: one has not.
    """
    warp = Warp(np.diag([reference.shape[1] / size[0], reference.shape[0] / size[1], 1.0]), size)
    for field in fields:
        share = float(thin_print(warp.cut(reference, field.box, SCALE), SCALE).mean())
        if share > MOST_PRINTED:
            raise BadForm(
                f"field {field.name!r}: print covers {share:.0%} of the box in the reference; at "
                f"most {MOST_PRINTED:.0%} are allowed, or what is written would be erased with it"
            )


def _scaled(box: tuple[float, float, float, float], unit: float) -> Box:
    return Box(*(unit * each for each in box))


def _on_page(box: Box, size: tuple[float, float], what: str) -> Box:
    slack = 0.01  # mm, by which rounding may put it beyond an edge
    if (
        min(box.left, box.top) < -slack
        or box.right > size[0] + slack
        or box.bottom > size[1] + slack
    ):
        raise BadForm(
            f"{what} goes from {box.left:.1f}, {box.top:.1f} to {box.right:.1f}, "
            f"{box.bottom:.1f} mm; the page is {size[0]:.1f}×{size[1]:.1f} mm"
        )
    return box


def _sentence(error: ErrorDetails, values: JsonObject) -> str:
    """Say a mistake: where it is, what was seen and what is allowed."""
    kind, seen = error["type"], error["input"]
    *where, last = error["loc"] or ("",)
    if kind == "missing" and isinstance(last, int):  # of a box or a mark
        count = 2 if "marks" in where else 4
        return f"{_where(where, values)}it has {last} of {count} numbers"
    if kind == "missing":
        return f"{_where(where, values)}{last} is missing"
    if kind == "extra_forbidden":
        known = ", ".join(_known(where))
        return f"{_where(where, values)}{quoted(str(last))} is not known; expected {known}"
    place = _where([*where, last], values)
    if kind == "value_error":
        return f"{place}{error['ctx']['error']}"
    wanted = re.sub(r"^\w+ should (be|have) (a )?", "", error["msg"])
    if kind == "string_pattern_mismatch":
        wanted = "letters, digits, spaces and . - _"
    return f"{place}{quoted(str(seen))} was given; expected {wanted}"


def _known(where: list[int | str]) -> Iterator[str]:
    tables: dict[str, type[BaseModel]] = {
        "page": PageTable,
        "registration": RegistrationTable,
        "code": CodeTable,
        "field": FieldTable,
    }
    yield from (tables[str(where[0])] if where else Template).model_fields


def _where(where: list[int | str], values: JsonObject) -> str:
    """Name the place of a mistake, a field by its name where it has one."""
    words: list[str] = []
    for index, each in enumerate(where):
        if isinstance(each, int):
            if index == 1 and where[0] == "field":
                table = values["field"][each]
                name = table.get("name") if isinstance(table, dict) else None
                words[-1] = f"field {name!r}" if isinstance(name, str) else f"field {each + 1}"
            else:
                words[-1] += f"[{each}]"
        elif each:
            words.append(str(each))
    return "".join(f"{word}: " for word in words)
