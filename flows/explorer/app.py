"""The explorer as a web application: every page under its address as HTML and as data, and errors as pages too."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import TypeAlias
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.page import MOST_DATA_ROWS, AbsentError, Answer, BusyError, Page, Parameters
from polyseme.flows.explorer.pages.all_pages import PAGES
from polyseme.flows.explorer.rendering import STATIC, Site, render, render_page
from polyseme.flows.explorer.security import Guard, is_foreign
from polyseme.flows.explorer.twins import TWINS
from polyseme.storage.errors import PolysemeError, UsageError

_TYPED = {"--where": "The condition", "--by": "The expression"}
"""What a page has where a command has an option: errors of both begin with it."""
Endpoint: TypeAlias = Callable[[Request], Response]


def application(lake: LiveLake, *, title: str, names: Collection[str] = (), token: str | None = None) -> ASGIApp:
    """Return the explorer of a lake. `names` are the host names it answers to, `token` what others have to show."""
    site = Site(title, address, "/static/", live=True)
    routes: list[BaseRoute] = [Mount("/static", StaticFiles(directory=STATIC))]
    for page in PAGES.values():
        routes.append(Route(_path(page.name), _as_page(lake, page, site)))
        routes += [Route(f"/{page.name}.{ending}", _as_data(lake, page, ending)) for ending in TWINS]
        routes += [Route(f"/{page.name}.{name}", _as_answer(lake, answer)) for name, answer in page.answers.items()]
    failing = _failing(site)
    handlers = {PolysemeError: failing, HTTPException: failing, Exception: failing}
    # Around all of it: Starlette answers what nobody foresaw outside of its own middleware.
    return Guard(Starlette(routes=routes, exception_handlers=handlers), names=names, token=token)


def address(name: str, /, **parameters: object) -> str:
    """Return the address of a page."""
    given = {key: value for key, value in parameters.items() if value not in (None, "", False)}
    return _path(name) + (f"?{urlencode(given)}" if given else "")


def _path(name: str) -> str:
    return "/" if name == "overview" else f"/{name}"


def _as_page(lake: LiveLake, page: Page, site: Site) -> Endpoint:
    def endpoint(request: Request) -> Response:
        given = Parameters(request.query_params.multi_items())
        # A link on another site may lead to a query, but not run it.
        held_back = page.name == "sql" and is_foreign(request.headers)
        content = page.load(lake, Parameters([("run", "0"), *given.given]) if held_back else given)
        asked = urlencode([pair for pair in given.given if pair[0] != "page"])
        twins = {ending: f"/{page.name}.{ending}?{asked}".rstrip("?") for ending in TWINS}
        return HTMLResponse(render_page(page, content, site, given, twins))

    return endpoint


def _as_data(lake: LiveLake, page: Page, ending: str) -> Endpoint:
    kind, made = TWINS[ending]

    def endpoint(request: Request) -> Response:
        if is_foreign(request.headers):
            raise HTTPException(403, "Only pages of this server may read this.")
        given = Parameters(request.query_params.multi_items())
        most = [("most", str(MOST_DATA_ROWS))] if page.name == "sql" and not given.text("most") else []
        body = made(page.load(lake, Parameters([*given.given, *most], whole=True)), given)
        named = {"Content-Disposition": f'attachment; filename="{page.name}.{ending}"'} if ending != "json" else {}
        return Response(body, media_type=kind, headers=named)

    return endpoint


def _as_answer(lake: LiveLake, answer: Answer) -> Endpoint:
    def endpoint(request: Request) -> Response:
        if is_foreign(request.headers):
            raise HTTPException(403, "Only pages of this server may read this.")
        raw = answer(lake, Parameters(request.query_params.multi_items()))
        tag = f'"{blake2b(raw.body, digest_size=16).hexdigest()}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"ETag": tag})
        return Response(raw.body, media_type=raw.kind, headers={"ETag": tag})

    return endpoint


def _failing(site: Site) -> Callable[[Request, Exception], Response]:
    def handler(request: Request, error: Exception) -> Response:
        code, message = _explained(error)
        if "." in request.url.path:
            return JSONResponse({"error": message}, code)
        given = dict(request.query_params.multi_items())
        return HTMLResponse(render("error", site, here=None, menu=PAGES, code=code, message=message, given=given), code)

    return handler


def _explained(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        absent = "There is no such page. The menu has all there are."
        return error.status_code, absent if error.status_code == 404 else error.detail
    if isinstance(error, AbsentError):
        return 404, str(error)
    if isinstance(error, BusyError):
        return 503, str(error)
    if isinstance(error, UsageError):
        option = next((name for name in _TYPED if str(error).startswith(name)), "")
        return 400, _TYPED.get(option, "") + str(error).removeprefix(option)
    if isinstance(error, PolysemeError):
        return 500, str(error)
    return 500, f"An unexpected {type(error).__name__}. The output of polyseme explore has the details."
