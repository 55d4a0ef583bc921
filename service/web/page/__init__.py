"""The pages that are served at `/` and `/form`: HTML, styles and scripts without a build."""

from starlette.routing import Route

from service.http.static import resource_routes

FILES = (
    "api.js",
    "app.js",
    "constraints.js",
    "dom.js",
    "editor.js",
    "form.css",
    "forms.js",
    "icon.svg",
    "pad.js",
    "reading.js",
    "snippets.js",
    "sources.js",
    "strip.js",
    "style.css",
    "toml.js",
    "words.js",
    "examples/account-small.png",
    "examples/amount-blue-ink.jpg",
    "examples/form-shaded.jpg",
    "examples/meter-light-on-dark.png",
    "examples/postcode-ruled.png",
)


def page_routes() -> list[Route]:
    """Return a route for each of the page's files."""
    return resource_routes(
        __name__,
        {"/": "index.html", "/form": "form.html", **{f"/page/{name}": name for name in FILES}},
    )
