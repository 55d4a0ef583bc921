"""The same rows on Ray: on one it starts, and on a cluster that loses a node."""

import json
import os
import subprocess
import sys

import pytest

from service.batch.state.shards import BLOCK
from tests.conftest import ROOT, STRIPS

pytest.importorskip("ray", reason="Ray is not installed: pip install 'digitstrip[ray]'")

# A cluster of three nodes on this machine; a node is killed as soon as a part was written.
CLUSTER = """
import json, os, subprocess, sys, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # stay on the loopback address
from ray.cluster_utils import Cluster

output, *inputs = sys.argv[1:]
on = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **on})
nodes = [cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1") for _ in range(2)]
running = subprocess.Popen(
    [sys.executable, "-m", "service.cli", "batch", *inputs, "--output", output, "--engine", "ray",
     "--ray-address", cluster.address, "--progress", "none"])
shards = Path(output + ".shards")
while running.poll() is None and not list(shards.glob("shard-*.parquet")):
    time.sleep(0.05)
left = len(list(shards.glob("shard-*.parquet")))
cluster.remove_node(nodes[0], allow_graceful=False)
status = running.wait()
print(json.dumps({"status": status, "shards_when_killed": left}))
cluster.shutdown()
"""


def test_ray_gives_the_same_bytes_though_a_node_is_killed(run, tmp_path):
    many = [str(STRIPS / "postcode-ruled.png")] * (2 * BLOCK + 50)  # three blocks
    assert run("batch", many[0], "--output", tmp_path / "here.jsonl").returncode == 0
    ended = subprocess.run(
        [sys.executable, "-c", CLUSTER, str(tmp_path / "ray.jsonl"), *many],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=280,
        check=True,
    )
    outcome = json.loads(ended.stdout.splitlines()[-1])
    assert outcome["status"] == 0
    assert 1 <= outcome["shards_when_killed"] < 3
    here = (tmp_path / "here.jsonl").read_bytes()  # one row, and every item is that one
    assert (tmp_path / "ray.jsonl").read_bytes() == here * len(many)
    assert not (tmp_path / "ray.jsonl.shards").exists()


def test_ray_it_starts_gives_the_same_parquet_and_resumes_by_shards(run, tmp_path):
    assert run("batch", STRIPS, "-o", tmp_path / "here.parquet", "--scores").returncode == 0
    arguments = ["batch", STRIPS, "--scores", "--engine", "ray", "--workers", "1"]
    assert run(*arguments, "-o", tmp_path / "ray.parquet").returncode == 0
    here, ray = (tmp_path / f"{name}.parquet" for name in ("here", "ray"))
    assert ray.read_bytes() == here.read_bytes()
