"""A control group of Linux that bounds the memory of what runs in it; where one may be made."""

import os
import re
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class NoGroupError(Exception):
    """No control group can be made here; says why."""


class MemoryGroup:
    """A memory group below this process's own, of version 1 or 2.

    Args:
        limit: bytes, past which Linux kills a process of the group.

    Raises:
        NoGroupError: none can be made here.
    """

    def __init__(self, limit):
        self.path, one = _own()
        self.path /= f"digitstrip-{os.getpid()}"
        limits, self._peak, self._events = (
            ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
            if one
            else ("memory.max", "memory.peak", "memory.events")
        )
        try:
            self.path.mkdir()
            (self.path / limits).write_text(str(limit))
        except OSError as error:
            with suppress(OSError):
                self.path.rmdir()
            raise NoGroupError(f"cannot make a memory group: {error}") from error

    def command(self, *command):
        """The command that runs another one in the group."""
        enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, str(self.path), *map(str, command)]

    @property
    def peak(self):
        """The most bytes that were in use, or None where the kernel does not say."""
        with suppress(OSError):
            return int((self.path / self._peak).read_text())

    @property
    def killed(self):
        """How many processes Linux killed for want of memory."""
        return int(re.search(r"oom_kill (\d+)", (self.path / self._events).read_text())[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.rmdir()


def _own():
    """The folder of this process's memory group, and whether that is of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError as error:
        raise NoGroupError(f"there are no control groups: {error}") from error
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.strip("/"), True
    path = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "/")
    return ROOT / path.strip("/"), False
