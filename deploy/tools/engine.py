"""A Docker engine to build and run the image with: the machine's own, or one brought up meanwhile.

Where no engine runs, root on Debian 12 can have one: Debian's packages are unpacked, not installed,
into a cache folder, and run from there; nothing else on the machine changes. As base images cannot
be pulled everywhere, such an engine gets a `debian:bookworm-slim` made of Debian's packages.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BASE = "debian:bookworm-slim"
PACKAGES = ("docker.io", "containerd", "runc", "tini", "mmdebstrap")
SLIM = ("doc", "man", "locale", "info")  # below /usr/share; the official slim image lacks them, too
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
CACHE = Path(os.environ.get("CONTAINER_CACHE", "/var/tmp/digitstrip-container"))
SYS_ADMIN = 21  # the capability's number
START_SECONDS = 30.0


class NoEngineError(Exception):
    """No engine runs here, and none can be brought up."""


@contextlib.contextmanager
def engine() -> Iterator[dict[str, str]]:
    """Yield the environment in which `docker` has an engine to talk to.

    Raises:
        NoEngineError: says what is missing.
    """
    if shutil.which("docker") and _answers(dict(os.environ)):
        yield dict(os.environ)
        return
    _require_debian()
    path = _unpack()
    work = Path(tempfile.mkdtemp(prefix="digitstrip-engine.", dir=CACHE))
    environment = os.environ | {
        "PATH": f"{path}:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{work}/docker.sock",
        "DOCKER_CONFIG": str(work / "config"),
        "DOCKER_BUILDKIT": "1",
    }
    try:
        base = _base(environment)
        with _daemon(work, environment):
            _run(["docker", "import", "-c", 'CMD ["bash"]', base, BASE], env=environment)
            yield environment
    finally:
        _unmount(work)
        shutil.rmtree(work, ignore_errors=True)


def _answers(environment: dict[str, str]) -> bool:
    """Say whether an engine answers."""
    asked = subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False)
    return asked.returncode == 0


def _require_debian() -> None:
    release = Path("/etc/os-release")
    if not (release.is_file() and "VERSION_CODENAME=bookworm" in release.read_text()):
        raise NoEngineError("no Docker engine runs here, and this is not Debian 12")
    if os.geteuid() != 0 or not _capabilities() >> SYS_ADMIN & 1:
        raise NoEngineError("no Docker engine runs here, and it takes root to bring one up")
    if not SOURCES.is_file():
        raise NoEngineError(f"no Docker engine runs here, and {SOURCES} does not name an archive")


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


def _run(
    command: list[str | Path], cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    """Run a command that is only worth hearing if it fails."""
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}: {ran.stderr[-4000:]}")


def _unpack() -> str:
    """Unpack the engine into the cache, and return what to put before PATH."""
    tools = CACHE / "engine"
    if not (tools / "unpacked").exists():
        shutil.rmtree(tools, ignore_errors=True)
        debs = tools / "debs"
        debs.mkdir(parents=True)
        _run(["apt-get", "-qq", "update"])
        _run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *PACKAGES], cwd=debs)
        for deb in debs.glob("*.deb"):
            _run(["dpkg-deb", "--extract", deb, tools])
        shutil.rmtree(debs)
        (tools / "unpacked").touch()
    return f"{tools}/usr/bin:{tools}/usr/sbin"


def _base(environment: dict[str, str]) -> Path:
    """Make the base image's files, once a week, and return the archive that holds them."""
    archive = CACHE / time.strftime("base-%G-%V.tar")
    if not archive.exists():
        for old in CACHE.glob("base-*.tar*"):
            old.unlink()
        part = archive.with_suffix(".tar.part")
        merged = CACHE / "engine" / "usr/share/mmdebstrap/hooks/merged-usr"
        command: list[str | Path] = ["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase"]
        command += ["--skip=output/dev", "--include=usr-is-merged", f"--hook-dir={merged}"]
        command += ["--dpkgopt=force-unsafe-io"]
        command += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in SLIM]
        command += ["--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/*.bin"]
        # A container brings its own of these.
        command += ["--customize-hook=rm -f $1/etc/resolv.conf $1/etc/hostname"]
        _run([*command, "bookworm", part, SOURCES], env=environment)
        part.rename(archive)
    return archive


@contextlib.contextmanager
def _daemon(work: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run dockerd without a bridge: containers are on the machine's network, or on none."""
    command = ["dockerd", "--host", environment["DOCKER_HOST"], "--log-level=warn"]
    command += ["--data-root", work / "data", "--exec-root", work / "exec"]
    command += ["--pidfile", work / "pid", "--bridge=none", "--iptables=false", "--ip-masq=false"]
    # A proxy that is none: what is not here shall be missing at once, not be looked for elsewhere.
    nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    with (work / "log").open("w") as log:
        daemon = subprocess.Popen(command, env=environment | nowhere, stdout=log, stderr=log)
    try:
        patience = time.monotonic() + START_SECONDS
        while not _answers(environment):
            if daemon.poll() is not None or time.monotonic() > patience:
                raise RuntimeError(f"the engine does not start: {(work / 'log').read_text()}")
            time.sleep(0.1)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def _unmount(work: Path) -> None:
    """Unmount what an engine that ended badly left mounted, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for each in sorted((mount for mount in mounts if mount.startswith(f"{work}/")), reverse=True):
        subprocess.run(["umount", each], check=False)
