"""The HTTP API of a review, and its page."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import BadOption, quoted
from service.http.app import HttpApp
from service.http.policy import Policy
from service.http.static import resource_routes
from service.json_object import JsonObject, parse_json
from service.review.crops import png_of
from service.review.people import COOKIE, People
from service.review.session import Session

PAGE = {
    "/": "review.html",
    "/review.css": "review.css",
    **{
        f"/{name}": name
        for name in (
            "api.js",
            "carpet.js",
            "editor.js",
            "main.js",
            "picture.js",
            "saving.js",
            "summary.js",
            "view.js",
        )
    },
}
MOST_TASKS = 16  # of one answer
MOST_DIGITS = 120  # of a carpet's screen
MOST_DRAWN = 2  # scans that are decoded at once, each within the limits of an image
HOURS = 12 * 3600  # seconds that a sign-in lasts
KEPT = {"Cache-Control": "private, max-age=600"}  # of pictures: nobody changes a scan meanwhile

Drawn = TypeVar("Drawn")
Handler = Callable[[Request, str], Awaitable[Response]]


def review_app(session: Session, people: People, policy: Policy | None = None) -> HttpApp:
    """Return the app of a review.

    Args:
        session: what is reviewed.
        people: who may.
        policy: whom it answers.
    """
    api = _Api(session, people)
    routes = [
        *resource_routes("service.review.page", PAGE),
        Route("/api/sign-in", api.sign_in, methods=["POST"]),
        *(
            Route(f"/api/{path}", api.signed_in(handler), methods=[method])
            for method, path, handler in (
                ("GET", "tasks", api.tasks),
                ("POST", "events", api.events),
                ("GET", "check", api.check),
                ("GET", "crops/{row:int}", api.crop),
                ("GET", "carpets", api.carpets),
                ("GET", "carpets/{label}", api.carpet),
                ("GET", "digits/{row:int}/{position:int}", api.digit),
                ("GET", "summary", api.summary),
            )
        ),
    ]
    return HttpApp(routes, policy or Policy())


class _Api:
    """Handlers; what takes time or the lock runs in threads."""

    def __init__(self, session: Session, people: People) -> None:
        self.session, self.people = session, people
        self._places = asyncio.Semaphore(MOST_DRAWN)

    async def _draw(self, work: Callable[..., Drawn], *arguments: object) -> Drawn:
        """Do work that decodes scans in a thread; what else is done there waits for none of it."""
        async with self._places:
            return await run_in_threadpool(work, *arguments)

    def signed_in(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler that knows who calls."""

        async def handle(request: Request) -> Response:
            return await handler(request, self.people.name_of(request.cookies.get(COOKIE, "")))

        return handle

    async def sign_in(self, request: Request) -> Response:
        """Keep a person's token in a cookie that no script sees."""
        token = str((await _json(request)).get("token", ""))
        response = JSONResponse({"who": self.people.name_of(token)})
        if self.people.alone is not None:  # who needs no token, so that it may be anything
            return response
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, token, max_age=HOURS, httponly=True, samesite="strict", secure=secure
        )
        return response

    async def tasks(self, request: Request, who: str) -> Response:
        """Answer with the next rows of a person."""
        count = min(_number(request, "count", 1), MOST_TASKS)
        shown = [
            to_number(each, "shown")
            for each in request.query_params.get("shown", "").split(",")
            if each
        ]

        def look() -> JsonObject:
            tasks = list(self.session.tasks(who, count, shown))
            return {"tasks": tasks, "progress": self.session.progress(who)}

        settings = self.session.settings
        head = {"who": who, "name": self.session.name, "sample": bool(settings.sample)}
        return JSONResponse(head | await self._draw(look))

    async def events(self, request: Request, who: str) -> Response:
        """Write down what a person did; what is answered is on the disk."""
        sent = (await _json(request)).get("events")
        if not isinstance(sent, list) or not all(isinstance(each, dict) for each in sent):
            raise BadOption("the body has no list of events", "events")
        saved = await run_in_threadpool(self.session.record, who, sent)
        return JSONResponse({"saved": saved})

    async def check(self, request: Request, _: str) -> Response:
        """Say whether digits satisfy a row's constraint."""
        text = request.query_params.get("text", "")
        return JSONResponse(self.session.check(_number(request, "row"), text))

    async def crop(self, request: Request, _: str) -> Response:
        """Answer with the picture of a row."""
        row = self.session.row(request.path_params["row"])
        whole, clear = (bool(request.query_params.get(name)) for name in ("whole", "clear"))
        crop = await self._draw(self.session.crops.of, row, whole, clear)
        return Response(crop.png, media_type="image/png", headers=KEPT)

    async def carpets(self, _request: Request, _: str) -> Response:
        """Answer with how many digits of each label wait on a carpet."""
        return JSONResponse(await run_in_threadpool(self.session.labels))

    async def carpet(self, request: Request, _: str) -> Response:
        """Answer with the digits of one screen."""
        count = min(_number(request, "count", MOST_DIGITS), MOST_DIGITS)
        found = await run_in_threadpool(self.session.carpet, request.path_params["label"], count)
        return JSONResponse({"digits": [[each.number, each.position] for each in found]})

    async def digit(self, request: Request, _: str) -> Response:
        """Answer with the picture of a digit."""
        row, position = self.session.row(request.path_params["row"]), request.path_params
        place = position["position"]
        if place >= len(row.digits):
            raise BadOption(f"row {row.number} has {len(row.digits)} digits", "position")
        cell = await self._draw(self.session.crops.digit, row, place)
        return Response(png_of(cell), media_type="image/png", headers=KEPT)

    async def summary(self, _request: Request, _: str) -> Response:
        """Answer with the figures so far."""
        summary = await run_in_threadpool(self.session.summary)
        return JSONResponse(summary.to_json() | {"sentences": list(summary.sentences())})


def _number(request: Request, name: str, default: int | None = None) -> int:
    given = request.query_params.get(name)
    return default if given is None and default is not None else to_number(given or "", name)


def to_number(text: str, name: str) -> int:
    """Parse a number of a query.

    Raises:
        BadOption: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadOption(f"{name} is {quoted(text)}; expected a number", name)
    return int(text)


async def _json(request: Request) -> JsonObject:
    """Return a request's body, a JSON object.

    Raises:
        BadOption: it is none. A form of another site cannot send one of this type unasked.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadOption(f"the content type is {quoted(kind)}; expected application/json", "body")
    try:
        body = parse_json(await request.body())
    except ValueError as error:
        raise BadOption(f"the body is no JSON: {error}", "body") from error
    if not isinstance(body, dict):
        raise BadOption("the body is no JSON object", "body")
    return body
