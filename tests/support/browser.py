"""Debian's Chromium, driven by Playwright, and axe-core, which looks for what keeps people out."""

import shutil
from contextlib import contextmanager

import pytest

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


def violations(page, axe):
    """What axe finds on a page, as it is now: rule and element."""
    page.evaluate(axe)  # past the page's policy, as a developer's tools are
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]
    ]
