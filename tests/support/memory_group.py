"""A control group of Linux that bounds the memory and the CPU of what runs in it."""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class NoGroupError(Exception):
    """No control group can be made here; says why."""


class MemoryGroup:
    """A group below this process's own, of version 1 or 2.

    Args:
        limit: bytes, past which Linux kills a process of the group.
        cores: how many CPUs' time the group may use, such as 0.25; None, all.

    Raises:
        NoGroupError: none can be made here.
    """

    def __init__(self, limit, cores=None):
        self.path, one = _own("memory")
        quota, name = self.path, f"digitstrip-{os.getpid()}"
        limits, self._peak, self._events = (
            ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
            if one
            else ("memory.max", "memory.peak", "memory.events")
        )
        if cores and one:
            quota, _ = _own("cpu")
        self.path, quota = self.path / name, quota / name
        self._paths = [self.path, quota] if quota != self.path else [self.path]
        period = 100_000  # microseconds, the kernel's own
        try:
            for path in self._paths:
                path.mkdir()
            (self.path / limits).write_text(str(limit))
            if cores:
                allowed = str(round(cores * period))
                file = "cpu.cfs_quota_us" if one else "cpu.max"
                (quota / file).write_text(allowed if one else f"{allowed} {period}")
        except OSError as error:
            with suppress(OSError):
                self.__exit__()
            raise NoGroupError(f"cannot make a control group: {error}") from error

    def command(self, *command):
        """The command that runs another one in the group."""
        enter = [f'echo $$ > "{path}/cgroup.procs"' for path in self._paths]
        return ["sh", "-c", f'{" && ".join(enter)} && exec "$0" "$@"', *map(str, command)]

    @property
    def peak(self):
        """The most bytes that were in use, or None where the kernel does not say."""
        with suppress(OSError):
            return int((self.path / self._peak).read_text())

    @property
    def killed(self):
        """How many processes Linux killed for want of memory."""
        return int(re.search(r"oom_kill (\d+)", (self.path / self._events).read_text())[1])

    def kill(self):
        """Kill what still runs in the group."""
        while pids := (self.path / "cgroup.procs").read_text().split():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for path in self._paths:
            path.rmdir()


def _own(controller):
    """The folder of this process's group of a controller, and whether that is of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError as error:
        raise NoGroupError(f"there are no control groups: {error}") from error
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return ROOT / controller / path.strip("/"), True
    path = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "/")
    return ROOT / path.strip("/"), False
