"""Packages of npm, installed from a lock file into a folder of their own."""

import re
import shutil
import subprocess

import pytest


def npm_ci(folder):
    """Install what a folder's lock file names; skip the test where that is not possible."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("what needs npm's packages is tested where node and npm are installed")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    installed = subprocess.run(
        ["npm", "ci", *quiet], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    if re.search("EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT", installed.stderr):
        pytest.skip("what needs npm's packages is tested where npm reaches its registry")
    assert installed.returncode == 0, installed.stderr
