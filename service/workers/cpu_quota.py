"""How many CPUs this process may really use; onnxruntime and OpenCV only see the machine's."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cpus(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """Return the CPUs that affinity and the control groups' quotas leave, at least 1.

    Args:
        cgroup: where the control groups are mounted; version 2 has `cpu.max`, version 1
            `cpu/…/cpu.cfs_quota_us` and `cpu.cfs_period_us`.
        membership: the file that says which group this process is in. Every group above it
            counts as well.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [_quota(group) for group in _groups(cgroup, membership)]
    return max(math.ceil(min([affinity or 1, *quotas])), 1)


def _groups(cgroup: Path, membership: Path) -> Iterator[Path]:
    """Yield the folders of this process's CPU groups, up to the mount."""
    yield cgroup
    yield cgroup / "cpu"
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = cgroup / "cpu" if "cpu" in controllers.split(",") else cgroup
        if controllers == "" or root != cgroup:
            group = Path(path.strip("/"))
            yield from (root / each for each in (group, *group.parents))


def _quota(group: Path) -> float:
    """Return a group's quota in CPUs; infinite if it has none."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such files, or "max": no quota
        return math.inf
