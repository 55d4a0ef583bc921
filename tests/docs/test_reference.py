"""docs/reference.md is complete: whatever a program can name is in it."""

import ast
import inspect
import re
import urllib.request

import pytest

import digitstrip
from service.client.client import Client
from service.pb import recognizer_pb2 as pb
from tests.conftest import ROOT, STRIPS, free_address

REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")
LEVELS = {"info", "warning", "error", "exception"}


def section(heading):
    return REFERENCE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]


def of(kind):
    return getattr(pb.DESCRIPTOR, f"{kind}_types_by_name").items()


@pytest.mark.parametrize(("name", "message"), of("message"), ids=lambda each: str(each)[:40])
def test_every_field_of_a_message_is_described(name, message):
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", section(f"### {name}"), re.M)
    assert [field for field, _ in rows] == [field.name for field in message.fields]
    assert not message.nested_types
    assert not message.enum_types


@pytest.mark.parametrize(("name", "enum"), of("enum"), ids=lambda each: str(each)[:40])
def test_every_value_of_an_enumeration_is_described(name, enum):
    rows = re.findall(r"^\| `(\w+)` \| \d+ \| .+ \|$", section(f"### {name}"), re.M)
    assert rows == [value.name for value in enum.values]


def test_every_method_is_described():
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    rows = re.findall(r"^\| `(\w+)` \| .*\| .+ \|$", section(f"### {service.name}"), re.M)
    assert rows == [method.name for method in service.methods]


def test_every_public_name_of_the_package_is_described():
    for name in digitstrip.__all__:
        each = getattr(digitstrip, name)
        if isinstance(each, type) and issubclass(each, Exception):
            continue  # in errors.md
        assert f"### digitstrip.{name}\n" in REFERENCE
        if isinstance(each, type):
            public = {each for each in vars(each) if not each.startswith("_")}
            for member in public:
                if callable(getattr(each, member)) or isinstance(vars(each)[member], property):
                    assert re.search(rf"\b{name}\.{member}\b", REFERENCE), member


def test_every_metric_that_is_served_is_described(start_service):
    listen = free_address()
    server = start_service("--metrics-listen", listen)
    with Client(server.address) as client:
        client.recognize(STRIPS / "one-digit.png")
    with urllib.request.urlopen(f"http://{listen}/metrics", timeout=10) as answer:
        exposed = answer.read().decode()
    served = set(re.findall(r"^# TYPE (digitstrip_\w+) ", exposed, re.M))
    rows = re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \| .+ \|$", section("## Metrics"), re.M)
    assert {name for name, _ in rows} == served
    for name, labels in rows:
        for each in re.findall(rf"^{name}(?:_bucket)?\{{(.*?)\}} ", exposed, re.M):
            found = set(re.findall(r'(\w+)="', each)) - {"le"}
            if not name.endswith("_info"):  # whose labels are the model's facts
                assert found == set(re.findall(r"`(\w+)`", labels)), name


def events():
    """Every event that the service logs: its text, level, and the keys that its function gives."""
    for path in (ROOT / "service").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and ast.unparse(call.func.value) == "logger"
                    and call.func.attr in LEVELS
                ):
                    level = {"exception": "error"}.get(call.func.attr, call.func.attr)
                    texts = [each.value for each in ast.walk(call.args[0]) if is_text(each)]
                    (extra,) = [each.value for each in call.keywords if each.arg == "extra"]
                    inside = function if isinstance(extra, ast.Name) else extra
                    yield texts, level, keys(inside)


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def keys(node):
    """The constant keys of dicts, those written and those set, in a part of a program."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Dict):
            found |= {key.value for key in each.keys if is_text(key)}
        if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store):
            found |= {each.slice.value} if is_text(each.slice) else set()
    return found


def test_every_log_event_is_described_with_its_fields():
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.+?) \| .+ \|$", section("## Log events"), re.M)
    described = {event: (level, set(re.findall(r"`(\w+)`", row))) for event, level, row in rows}
    logged = {}
    for texts, level, fields in events():
        for text in texts:
            logged[text] = (level, logged.get(text, (level, set()))[1] | fields)
    assert logged == described


def test_a_docstring_is_quoted_whole():
    assert inspect.getdoc(digitstrip.load_model).splitlines()[0] in REFERENCE
