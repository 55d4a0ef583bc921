import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.workers.cpu_quota import usable_cpus

ROOT = Path(__file__).parents[3]

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity"
)


def affinity():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def version_2(folder, text):
    (folder / "cpu.max").write_text(text)
    return folder


def version_1(folder, quota, period="100000"):
    (folder / "cpu").mkdir()
    (folder / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (folder / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    return folder


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [(100000, 1), (200000, 2), (150000, 2), (100001, 2), (50000, 1), (1000, 1)],
)
def test_quota_is_rounded_up_to_whole_cpus_within_affinity(quota, cpus, tmp_path):
    expected = min(cpus, affinity())
    assert usable_cpus(version_2(tmp_path, f"{quota} 100000\n")) == expected
    (tmp_path / "cpu.max").unlink()
    assert usable_cpus(version_1(tmp_path, quota)) == expected


def test_period_of_the_quota_counts(tmp_path):
    assert usable_cpus(version_2(tmp_path, "50000 50000\n")) == 1
    assert usable_cpus(version_2(tmp_path, "50000 25000\n")) == min(2, affinity())


def test_quota_of_all_cpus_but_a_half_is_all_of_them(tmp_path):
    quota = math.floor((affinity() - 0.5) * 100_000)
    assert usable_cpus(version_2(tmp_path, f"{quota} 100000\n")) == affinity()


@pytest.mark.parametrize("quota", [100 * 100_000, 10**15])
def test_quota_above_affinity_is_bounded_by_it(quota, tmp_path):
    quota *= affinity()
    assert usable_cpus(version_2(tmp_path, f"{quota} 100000\n")) == affinity()


@pytest.mark.parametrize(
    "text",
    ["max 100000\n", "", "100000\n", "1 2 3\n", "many few\n", "100000 0\n", "0 100000\n"],
)
def test_no_quota_or_an_unreadable_one_leaves_affinity(text, tmp_path):
    assert usable_cpus(version_2(tmp_path, text)) == affinity()


@pytest.mark.parametrize("quota", ["-1", "0", "", "max"])
def test_no_quota_of_version_1_leaves_affinity(quota, tmp_path):
    assert usable_cpus(version_1(tmp_path, quota)) == affinity()


def test_version_2_comes_before_version_1(tmp_path):
    version_1(tmp_path, 100_000 * affinity())
    assert usable_cpus(version_2(tmp_path, "100000 100000\n")) == 1


def test_version_1_without_a_period_leaves_affinity(tmp_path):
    version_1(tmp_path, 1000)
    (tmp_path / "cpu" / "cpu.cfs_period_us").unlink()
    assert usable_cpus(tmp_path) == affinity()


@pytest.mark.parametrize("name", ["", "missing"])
def test_absent_control_group_leaves_affinity(name, tmp_path):
    assert usable_cpus(tmp_path / name) == affinity()


def test_this_machine_leaves_at_least_one_cpu():
    assert 1 <= usable_cpus() <= os.cpu_count()


@needs_affinity
def test_affinity_bounds_a_larger_quota(tmp_path):
    version_2(tmp_path, "800000 100000\n")
    program = (
        "import os, sys; from pathlib import Path\n"
        "from service.workers.cpu_quota import usable_cpus\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "print(usable_cpus(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip() == b"1"


@needs_affinity
def test_quota_of_a_group_above_this_process_counts(tmp_path):
    group = tmp_path / "system.slice" / "digitstrip.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("50000 100000\n")
    membership = tmp_path / "membership"
    membership.write_text("0::/system.slice/digitstrip.service\n")
    assert usable_cpus(tmp_path, membership) == 1


@needs_affinity
def test_quota_of_a_nested_group_of_version_1_counts(tmp_path):
    version_1(tmp_path, -1)
    group = tmp_path / "cpu" / "docker" / "abc"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("70000")
    (group / "cpu.cfs_period_us").write_text("100000")
    membership = tmp_path / "membership"
    membership.write_text("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n")
    assert usable_cpus(tmp_path, membership) == 1
