"""How many CPUs this process may really use; onnxruntime and OpenCV only see the machine's."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """Return the CPUs that affinity and the control group's quota leave, at least 1.

    Args:
        cgroup: where the control group's files are; version 2 has `cpu.max`, version 1
            `cpu/cpu.cfs_quota_us` and `cpu/cpu.cfs_period_us`.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(min(affinity or 1, _quota(cgroup)), 1)


def _quota(cgroup: Path) -> int:
    """Return the quota in whole CPUs, rounded up; a great number if there is none."""
    unlimited = 2**31
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else unlimited
    except (OSError, ValueError, ZeroDivisionError):  # no such files, or "max": no quota
        return unlimited
