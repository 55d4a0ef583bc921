"""The Connect protocol's own client, from npm, against the real service."""

import json
import os
import subprocess
from pathlib import Path

import grpc_tools
import pytest
from grpc_tools import protoc

from tests.conftest import ROOT, STRIPS

NAME = "postcode-ruled.png"


@pytest.fixture(scope="module")
def descriptors(packages):
    """The schema, as protoc writes it to a file."""
    path = packages / "schema.binpb"
    common = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{ROOT / 'proto'}", f"-I{common}", "--include_imports"]
    schema = "digitstrip/v1/recognizer.proto"
    assert not protoc.main(["protoc", *arguments, f"--descriptor_set_out={path}", schema])
    return path


@pytest.mark.parametrize("form", ["json", "proto"])
def test_the_protocols_own_client_reads_an_image_and_an_error(
    web, packages, descriptors, truths, form
):
    ended = subprocess.run(
        ["node", "call.js", web.web, descriptors, STRIPS / NAME, form],
        cwd=packages,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["response"]["text"] == truths[NAME]
    assert said["labels"][-1] == "none"
    assert said["error"]["code"] == "InvalidArgument"
    assert said["error"]["details"][0] == {"reason": "UNKNOWN_FORMAT", "domain": "digitstrip"}


IMPORTED = ("@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web")


def import_map(packages):
    """Where a browser finds the modules that packages export, below /npm/."""
    found = {}
    for name in IMPORTED:
        package = json.loads((packages / "node_modules" / name / "package.json").read_text())
        for path, files in package["exports"].items():
            found[name + path.removeprefix(".")] = f"/npm/{name}/{files['import']}"
    return {"imports": found}


@pytest.mark.parametrize("form", ["json", "proto"])
def test_the_protocols_client_for_browsers_reads_an_image_and_an_error(
    web, packages, descriptors, truths, browser, form
):
    html = (
        f'<script type="importmap">{json.dumps(import_map(packages))}</script>'
        '<script type="module" src="/npm/browser.js"></script>'
    )

    def module(route):
        name = route.request.url.partition("/npm/")[2]
        path = packages / (name if name == "browser.js" else f"node_modules/{name}")
        route.fulfill(body=path.read_bytes(), content_type="text/javascript")

    context = browser.new_context()
    page = context.new_page()
    page.route("**/npm/**", module)
    page.route("**/client", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{web.web}/client")
    page.wait_for_function("typeof window.read === 'function'")
    said = page.evaluate(
        "([descriptors, image, proto]) => read(descriptors, image, proto)",
        [list(descriptors.read_bytes()), list((STRIPS / NAME).read_bytes()), form == "proto"],
    )
    context.close()
    assert said["text"] == truths[NAME]
    assert said["code"] == "InvalidArgument"
    assert said["details"][0] == {"reason": "UNKNOWN_FORMAT", "domain": "digitstrip"}
