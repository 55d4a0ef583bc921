"""Build the image with a real engine, and prove what the docs say of it: `make container-check`.

Runs where a Docker engine runs, or where root can bring one up (engine.py); elsewhere it says so
and ends well. What is checked of a container is checked inside it: it has no network.
"""

import csv
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from engine import NoEngineError, engine
from sbom import LOCK, ROOT, locked

STRIP = "postcode-ruled.png"
MOST_MB = 450
TEMPORARY = {"/tmp", "/var/tmp", "/run/lock"}  # Debian lets everyone write here
CONFINED = [  # as deploy/ runs it, and a little less
    "--read-only", "--tmpfs=/tmp:rw,noexec,nosuid,size=16m", "--cap-drop=ALL", "--network=none",
    "--security-opt=no-new-privileges", "--memory=1g", "--pids-limit=256",
]  # fmt: skip
HEALTHY_SECONDS = 60.0
BUILD_TOOLS = ("cc", "gcc", "g++", "make", "pip", "pip3")

# What is run inside, with the image's own Python.
WRITABLE = """
import os
for folder, folders, files in os.walk("/"):
    if folder in ("/proc", "/sys", "/dev"):
        folders.clear()
        continue
    for path in (folder, *(os.path.join(folder, name) for name in files)):
        if not os.path.islink(path) and os.access(path, os.W_OK, effective_ids=True):
            print(path)
"""
REFUSED = """
import errno, os, service
for folder in ("/", os.path.dirname(service.__file__), "/var/tmp", "/run/lock"):
    try:
        open(os.path.join(folder, "written"), "w")
    except OSError as error:
        assert error.errno in (errno.EROFS, errno.EACCES), error
    else:
        raise SystemExit(f"{folder} was written to")
with open("/tmp/written", "w") as file:
    file.write("allowed")
"""
PACKAGES = """
from importlib import metadata
for each in metadata.distributions():
    print(f"{each.name}=={each.version}")
"""
# The container's first process and those below it: the engine puts others beside them, a health
# check for one, and while one starts it belongs to root and may not be looked at.
MEMORY = """
import pathlib
def memory(pid):
    root = pathlib.Path("/proc", str(pid))
    lines = (root / "smaps_rollup").read_text().splitlines()
    below = [each.read_text().split() for each in root.glob("task/*/children")]
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(memory(child) for children in below for child in children)
print(memory(1))
"""
# The kernel counts what finds no way out of a network of nothing but loopback.
TRIES = """
def counted(path, name):
    rows = [line.split() for line in open(path)]
    names, values = [row for row in rows if row[0] == "Ip:"] if "6" not in path else zip(*rows)
    return int(values[names.index(name)])
print(counted("/proc/net/snmp", "OutNoRoutes") + counted("/proc/net/snmp6", "Ip6OutNoRoutes"))
"""
CALL_OUT = """
import contextlib, socket
for family, kind, host in (
    (socket.AF_INET, socket.SOCK_STREAM, "192.0.2.1"),
    (socket.AF_INET, socket.SOCK_DGRAM, "192.0.2.1"),
    (socket.AF_INET6, socket.SOCK_STREAM, "2001:db8::1"),
):
    with socket.socket(family, kind) as end, contextlib.suppress(OSError):
        end.connect((host, 53))
with contextlib.suppress(OSError):
    socket.getaddrinfo("example.org", 443)
"""


@dataclass
class Docker:
    """Docker, in an environment that has an engine."""

    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, stdin: bytes | None = None) -> str:
        """Run a docker command and return what it prints; fail with what it said."""
        command = ["docker", *map(str, arguments)]
        ran = subprocess.run(
            command, env=self.environment, input=stdin, capture_output=True, check=False
        )
        if ran.returncode != 0:
            said = (ran.stdout + ran.stderr).decode(errors="replace")[-4000:]
            raise AssertionError(f"{' '.join(command)}: exit {ran.returncode}\n{said}")
        return ran.stdout.decode().strip()


@dataclass
class Checks:
    """What held and what did not, printed as it is found."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)

    def __call__(self, check: Callable[..., str], *arguments: object) -> None:
        """Run a check: its docstring says what shall hold, what it returns is the figure."""
        promise = (check.__doc__ or check.__name__).strip().rstrip(".")
        try:
            figure = check(*arguments)
        except AssertionError as error:
            self.failed.append(promise)
            print(f"FAIL  {promise}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok    {promise}" + (f": {figure}" if figure else ""), flush=True)


@dataclass
class Container:
    """A running container of the image."""

    docker: Docker
    name: str

    def python(self, program: str) -> str:
        """Run a program inside with the image's Python."""
        return self.docker("exec", self.name, "python", "-c", program)

    def digitstrip(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Run our command line inside."""
        return self.docker("exec", "-i", self.name, "digitstrip", *arguments, stdin=stdin)

    def state(self, what: str) -> str:
        """Return a field of the container's state."""
        return self.docker("inspect", "-f", f"{{{{.State.{what}}}}}", self.name)


def build(docker: Docker, tag: str) -> str:
    """The image builds from this folder."""
    began = time.monotonic()
    command: list[str | Path] = ["build", "--network=host", "--tag", tag, ROOT]
    bundle = docker.environment.get("PIP_CERT")
    if bundle:  # this machine reaches its packages through a proxy with a certificate of its own
        settings = ROOT / "out" / "pip.conf"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text("[global]\ncert = /run/secrets/ca_bundle\n")
        command += ["--secret", f"id=pip_conf,src={settings}"]
        command += ["--secret", f"id=ca_bundle,src={bundle}"]
    docker(*command)
    return f"{time.monotonic() - began:.0f} s"


def small(docker: Docker, tag: str) -> str:
    """The image is small."""
    size = int(docker("image", "inspect", "-f", "{{.Size}}", tag)) / 1e6
    assert size <= MOST_MB, f"{size:.0f} MB, over {MOST_MB}"
    return f"{size:.0f} MB"


def labeled(docker: Docker, tag: str) -> str:
    """The image tells its version, user, health and entry point."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    inspected = docker(
        "image", "inspect", "-f",
        '{{index .Config.Labels "org.opencontainers.image.version"}} {{.Config.User}} '
        "{{.Config.Healthcheck.Test}} {{.Config.Entrypoint}}",
        tag,
    )  # fmt: skip
    assert inspected == f"{version} 10001:10001 [CMD digitstrip health] [digitstrip]", inspected
    return inspected


def serves(container: Container, began: float) -> str:
    """It serves soon after its start."""
    while "serving on" not in container.docker("logs", container.name):
        assert container.state("Running") == "true", container.docker("logs", container.name)
        assert time.monotonic() < began + HEALTHY_SECONDS, "not serving"
        time.sleep(0.02)
    return f"{time.monotonic() - began:.1f} s from `docker run`"


def healthy(container: Container) -> str:
    """Its health check finds it SERVING."""
    patience = time.monotonic() + HEALTHY_SECONDS
    while (health := container.state("Health.Status")) != "healthy":
        last = "{{json .State.Health.Log}}"
        assert time.monotonic() < patience, (
            f"{health}: {container.docker('inspect', '-f', last, container.name)}"
        )
        time.sleep(0.2)
    return ""


def idle(container: Container) -> str:
    """Idle, its processes hold little memory."""
    resident = int(container.python(MEMORY)) / 1024
    assert resident < 512, f"{resident:.0f} MiB"
    return f"{resident:.0f} MiB, what processes share counted once"


def reads(container: Container) -> str:
    """It reads a strip that our client sends by gRPC."""
    strips = ROOT / "examples" / "strips"
    with (strips / "labels.csv").open(newline="") as file:
        (truth,) = (row["text"] for row in csv.DictReader(file) if row["file"] == STRIP)
    text = container.digitstrip("send", "-", stdin=(strips / STRIP).read_bytes())
    assert text == truth, f"{STRIP} was read as {text!r}"
    return text


def keeps_to_itself(container: Container) -> str:
    """It tries no way out, with no network to be seen by it."""
    tries = int(container.python(TRIES))
    container.python(CALL_OUT)
    proof = int(container.python(TRIES))
    assert proof >= tries + 4, f"tries are not counted here: {tries}, and {proof} after four"
    assert tries == 0, f"{tries} tries"
    return f"0 tries counted; then {proof} of a program that does try"


def unprivileged(container: Container) -> str:
    """It runs as no root, without capabilities."""
    status = container.python("print(open('/proc/1/status').read())")
    rows = dict(line.split(":", 1) for line in status.splitlines())
    assert rows["Uid"].split() == ["10001"] * 4, rows["Uid"]
    assert int(rows["CapEff"], 16) == int(rows["CapBnd"], 16) == 0, rows["CapBnd"]
    assert rows["NoNewPrivs"].strip() == "1"
    return "uid 10001"


def writes_nothing(container: Container) -> str:
    """Writing is refused outside /tmp."""
    container.python(REFUSED)
    return ""


def owns_nothing(docker: Docker, tag: str) -> str:
    """Even where the root can be written, its user may change no file of the image."""
    command = ["run", "--rm", "--network=none", "--entrypoint=python", tag, "-c", WRITABLE]
    writable = set(docker(*command).split()) - TEMPORARY
    assert not writable, writable
    return ""


def lean(container: Container) -> str:
    """It holds the locked packages and no others, no installer and no compiler."""
    inside = {pin.lower().replace("_", "-") for pin in container.python(PACKAGES).split()}
    lock = {f"{name}=={version}".lower().replace("_", "-") for name, version, _ in locked(LOCK)}
    ours = {pin for pin in inside if pin.startswith("digitstrip==")}
    assert inside - ours == lock, inside ^ lock
    tools = f"import shutil; print([each for each in {BUILD_TOOLS} if shutil.which(each)])"
    assert container.python(tools) == "[]", container.python(tools)
    return f"{len(lock)} packages"


def stops(container: Container) -> str:
    """SIGTERM ends it with status 0."""
    began = time.monotonic()
    container.docker("stop", "--time=30", container.name)
    status = container.state("ExitCode")
    assert status == "0", f"{status}\n{container.docker('logs', container.name)}"
    return f"{time.monotonic() - began:.1f} s"


def knows_its_cpus(docker: Docker, tag: str) -> str:
    """It starts as many readers as its CPU quota has cores, rounded up."""
    quota = ["run", "--rm", "--network=none", "--cpus=0.5", "--entrypoint=python", tag, "-c"]
    said = docker(*quota, "from service.workers.cpu_quota import usable_cpus; print(usable_cpus())")
    assert said == "1", f"{said} for half a CPU"
    return "1 for half a CPU"


def speaks_tls(docker: Docker, tag: str) -> str:
    """With a certificate mounted, it is healthy, reads by TLS, and by nothing else."""
    address = "127.0.0.1:50061"
    with tempfile.TemporaryDirectory() as folder:
        certificate = trustme.CA().issue_cert("127.0.0.1")
        Path(folder).chmod(0o755)
        for name, blob in (
            ("chain.pem", b"".join(each.bytes() for each in certificate.cert_chain_pems)),
            ("key.pem", certificate.private_key_pem.bytes()),
        ):
            (Path(folder) / name).write_bytes(blob)
        options = [f"--volume={folder}:/tls:ro", "--health-interval=1s"]
        options += [f"--env=LISTEN={address}", "--env=DIGITSTRIP_TLS_CERTIFICATE=/tls/chain.pem"]
        options += ["--env=DIGITSTRIP_TLS_KEY=/tls/key.pem"]
        with running(docker, tag, f"{tag}-tls", *options) as container:
            healthy(container)
            strip = (ROOT / "examples" / "strips" / STRIP).read_bytes()
            text = container.digitstrip("send", "-", "--tls-ca=/tls/chain.pem", stdin=strip)
            assert text.isdigit(), text
            try:
                container.digitstrip("send", "-", f"--address={address}", stdin=strip)
            except AssertionError:
                return ""
            raise AssertionError("it was read without TLS")


@contextmanager
def running(docker: Docker, tag: str, name: str, *options: str) -> Iterator[Container]:
    """Run a container of the image, confined; remove it at the end."""
    docker("run", "--detach", "--name", name, *CONFINED, *options, tag)
    try:
        yield Container(docker, name)
    finally:
        docker("rm", "--force", name)


def check(docker: Docker, checks: Checks, tag: str) -> None:
    """Check the image, then a container of it."""
    checks(build, docker, tag)
    if checks.failed:
        return
    for each in (small, labeled, owns_nothing, knows_its_cpus):
        checks(each, docker, tag)
    began = time.monotonic()
    with running(docker, tag, f"{tag}-check", "--health-interval=1s") as container:
        checks(serves, container, began)
        for each in (
            idle, healthy, reads, keeps_to_itself, unprivileged, writes_nothing, lean, stops
        ):  # fmt: skip
            checks(each, container)
    checks(speaks_tls, docker, tag)


def main() -> int:
    """Check, and return the exit status."""
    # However it ends, what was started is stopped.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    checks = Checks()
    try:
        with engine() as environment:
            check(Docker(environment), checks, "digitstrip")
    except NoEngineError as error:
        print(f"container check skipped: {error}")
        return 0
    print(f"container: {checks.passed} passed, {len(checks.failed)} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
