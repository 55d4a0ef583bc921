"""Debian's Chromium, driven by Playwright, and axe-core, which looks for what keeps people out."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest

AXE = "axe-core@4.14.1"  # of npm
# Quiet: it opens no connection but to the page that a test is about.
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium():
    """Start Chromium, or skip the tests that need it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    if found is None:
        pytest.skip("pages are tested where Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


def install_axe(folder):
    """Return axe-core's script, or skip the tests that need it."""
    if not shutil.which("npm"):
        pytest.skip("accessibility is tested where npm is installed")
    quiet = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    command = ["npm", "install", *quiet, "--prefix", str(folder), AXE]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if ended.returncode:
        pytest.skip("accessibility is tested where npm reaches its registry")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def violations(page, axe):
    """What axe finds on a page, as it is now: rule and element."""
    page.evaluate(axe)  # past the page's policy, as a developer's tools are
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]
    ]
