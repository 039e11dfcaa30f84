"""Who may ask the explorer, and what a browser may do with its answers.

The explorer serves what may be private to whoever can reach its port, which other pages in the same browser can as
well. So it answers only to its own names (a page whose name was made to point here, DNS rebinding, has another), gives
data only to its own pages, wants a token when other machines can reach it, and lets its pages load nothing but its own
files. It has nothing that writes to a lake.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from hmac import compare_digest
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names that only this machine's own browsers use."""
COOKIE = "polyseme-explorer"
_OF_CHARTS = "sha256-+TfQir1nvDucAdvE6XUQBt4ayUjpAWkbw2kCdSfekHM="
"""The one style sheet that the library of charts puts into each picture."""
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", f"style-src 'self' '{_OF_CHARTS}'", "img-src 'self' data:",
    "connect-src 'self'", "font-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def is_foreign(headers: Headers) -> bool:
    """Return whether a browser says that another site made it ask. What says nothing is no browser of today."""
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


class Guard:
    """Lets in who may ask, and says with every answer what a browser may do with it.

    `names` are the host names, without a port, that the explorer is known by; empty for any, which needs a token.
    """

    def __init__(self, app: ASGIApp, *, names: Collection[str], token: str | None) -> None:
        self._app, self._names, self._token = app, frozenset(name.lower() for name in names), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        answer = self._refusal(scope) or self._app
        await answer(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if self._names and _host(headers.get("host", "")) not in self._names:
            return PlainTextResponse("This is not a name of this server. Open the address that it printed.\n", 421)
        if is_foreign(headers) and headers.get("sec-fetch-mode", "navigate") != "navigate":
            return PlainTextResponse("Only pages of this server may read this.\n", 403)
        if self._token is None:
            return None
        given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "token" in given and compare_digest(given["token"].encode(), self._token.encode()):
            return self._admitted(scope)
        # Not by http.cookies: browsers send those of all ports of a host, and one that it does not like fails them all.
        held = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if compare_digest(held.encode(), self._token.encode()):
            return None
        return PlainTextResponse("This needs the token: open the whole address that the server printed.\n", 401)

    def _admitted(self, scope: Scope) -> RedirectResponse:
        """Give the browser the token as a cookie, so that it is in no address that is shared or remembered."""
        pairs = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1"), True) if pair[0] != "token"]
        path = "/" + scope["path"].lstrip("/")  # two slashes would be another host
        answer = RedirectResponse(path + (f"?{urlencode(pairs)}" if pairs else ""), 303)
        answer.set_cookie(COOKIE, self._token or "", httponly=True, samesite="strict")
        return answer


def _host(value: str) -> str:
    """Return a Host header without its port."""
    value = value.strip().lower()
    return value.partition("]")[0] + "]" if value.startswith("[") else value.partition(":")[0]
