"""Clients that other languages' generators make from the schema: they compile, and read."""

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from service.pb import recognizer_pb2 as pb
from tests.conftest import ROOT, STRIPS

SCHEMA = "digitstrip/v1/recognizer.proto"
INCLUDES = [f"-I{ROOT / 'proto'}", f"-I{files('grpc_tools') / '_proto'}"]
JARS = Path("/usr/share/java")  # where Debian's libgrpc-java and libprotobuf-java put theirs


def done(*command, cwd):
    """Run a command that must succeed; returns what it printed."""
    ended = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_client_generated_for_typescript_compiles_and_reads(npm_tools, start_service, tmp_path):
    bin_, gen = npm_tools / "node_modules" / ".bin", npm_tools / "gen"
    gen.mkdir()
    done(
        *(sys.executable, "-m", "grpc_tools.protoc", *INCLUDES),
        f"--plugin=protoc-gen-es={bin_ / 'protoc-gen-es'}",
        f"--es_out={gen}",
        "--es_opt=target=ts,import_extension=js",
        SCHEMA,
        cwd=npm_tools,
    )
    strict = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck")
    done(bin_ / "tsc", *strict, "--types", "node", "--outDir", "out", "read.ts", cwd=npm_tools)
    server = start_service("--web-listen", "127.0.0.1:0")
    image = STRIPS / "postcode-ruled.png"
    printed = done(
        *("node", "out/read.js", server.web, f"http://{server.address}", image), cwd=npm_tools
    )
    assert printed.splitlines() == ["68767", "InvalidArgument"] * 2 + ["a 68767"]


def test_stubs_generated_for_java_compile(tmp_path):
    tools = [shutil.which(name) for name in ("protoc", "grpc_java_plugin", "javac")]
    if not (all(tools) and (JARS / "grpc-stub.jar").exists()):
        pytest.skip("Debian's packages protobuf-compiler-grpc-java-plugin, libgrpc-java and a JDK")
    protoc, plugin, javac = tools
    done(
        *(protoc, *INCLUDES, "--java_out=.", "--grpc-java_out=."),
        f"--plugin=protoc-gen-grpc-java={plugin}",
        SCHEMA,
        cwd=tmp_path,
    )
    package = tmp_path / "com" / "digitstrip" / "v1"
    sources = sorted(package.glob("*.java"))
    assert {"RecognizeRequest.java", "RecognizerServiceGrpc.java"} <= {s.name for s in sources}
    names = ("protobuf", "guava", "geronimo-annotation-1.3-spec")
    names += ("grpc-api", "grpc-stub", "grpc-protobuf", "grpc-protobuf-lite")
    jars = ":".join(str(JARS / f"{name}.jar") for name in names)
    done(javac, "-proc:none", "-Werror", "-d", "out", "-cp", jars, *sources, cwd=tmp_path)
    assert (tmp_path / "out" / "com" / "digitstrip" / "v1" / "RecognizeResponse.class").exists()


def test_the_schema_says_where_generated_code_belongs():
    options = pb.DESCRIPTOR.GetOptions()
    assert options.go_package == "digitstrip/v1;digitstripv1"
    assert options.java_package == "com.digitstrip.v1"
    assert options.csharp_namespace == "Digitstrip.V1"


def test_the_lock_file_of_the_tests_names_no_host_to_install_from():
    lock = (ROOT / "tests" / "support" / "npm" / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') >= 10
