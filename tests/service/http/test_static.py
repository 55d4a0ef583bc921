import pytest

from service.http.static import resource_routes
from tests.conftest import in_a_loop
from tests.support.http1 import ask

TABLE = {"/": "index.html", "/app.js": "app.js"}


@pytest.fixture
def routes(tmp_path, monkeypatch):
    page = tmp_path / "a_page"
    page.mkdir()
    (page / "__init__.py").write_text("SECRET = 1")
    (page / "index.html").write_text("<p>é")
    (page / "app.js").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))
    return resource_routes("a_page", TABLE)


@in_a_loop
async def test_files_are_served_by_the_table_and_kept_by_browsers(serving, routes):
    async with serving(routes) as server:
        page = await ask(server.port)
        assert (page.body, page.headers["content-type"]) == (
            "<p>é".encode(),
            "text/html; charset=utf-8",
        )
        assert page.headers["cache-control"] == "no-cache"
        again = await ask(server.port, If_None_Match=page.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        script = await ask(server.port, path="/app.js")
        assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/__init__.py",
        "/../a_page/__init__.py",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/app.js/",
        "/app.js%00.html",
        "/%5c..%5c..%5cetc%5cpasswd",
    ],
)
@in_a_loop
async def test_no_other_path_reaches_a_file(serving, routes, path):
    async with serving(routes) as server:
        assert (await ask(server.port, path=path)).status == 404


@in_a_loop
async def test_a_method_that_a_file_does_not_have_is_refused(serving, routes):
    async with serving(routes) as server:
        assert (await ask(server.port, "POST", "/app.js")).status == 405
        assert (await ask(server.port, "HEAD", "/app.js")).body == b""
