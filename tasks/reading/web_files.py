"""Files of the web, one an address, over HTTP. Knows no format and no document.

The server's word decides whether a file changed (its ETag, else when it was last modified and how long it is), so that
an unchanged one costs one request without a body. What is read is downloaded whole first: into memory, or if it is
large into a temporary file.
"""

from __future__ import annotations

import errno
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO, cast
from urllib.parse import quote, urlsplit

from polyseme.storage.errors import UsageError

if TYPE_CHECKING:
    import httpx

MEMORY_BYTES = 8 << 20
_BLOCK = 1 << 20
_PORTS = {"https": 443, "http": 80}
_PORT = re.compile(r":\d*$")
_AS_TYPED = "/%:@$&()*+,;=~-._"
_SECONDS = 30.0
"""How long a server may say nothing."""
_TRIES = 3
_MAY_PASS = (408, 429, 500, 502, 503, 504)
_NO_HEAD = (400, 403, 404, 405, 501)
"""What a server may answer that does not describe the file, but gives it."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a server says of a file: `tag` differs whenever its content does; empty if the server does not say."""

    tag: str
    size: int | None
    modified_ns: int | None
    content_type: str


def address_of(spec: str) -> str:
    """Return a web address in ASCII, as documents have it: one for all that mean the same. `/` is a home page.

    Raises UsageError for one without a host.
    """
    try:
        parts = urlsplit(spec)
        hostname, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"source {spec!r} is not an address ({error}); write https://host/path/to/file") from error
    if not hostname:
        raise UsageError(f"source {spec!r} names no host; write https://host/path/to/file")
    if parts.query or parts.username or parts.password:
        raise UsageError(refusal(parts.scheme))
    scheme, host = parts.scheme.lower(), _PORT.sub("", parts.netloc.lower())
    if port not in (None, _PORTS[scheme]):
        host = f"{host}:{port}"
    # What is percent-encoded already stays so. `!` is: before a slash it divides an archive from what is in it.
    return f"{scheme}://{host}{quote(parts.path or '/', safe=_AS_TYPED)}"


def refusal(scheme: str) -> str:
    """Return why an address with a user, a password or a query is not read, and what to do, without repeating it."""
    return (
        f"An address {scheme.lower()}://… has a user, a password or a query (?…) in it, which would be stored in the "
        "catalog and in logs. Give the address without it if the server takes that, or download the file and name its "
        "path; a question mark that is part of a file's name is written %3F."
    )


def version(address: str) -> Version:
    """Return what the server says of a file, without its content. Raises OSError if it has none or does not answer."""
    with _answered(address), _client() as client:
        answer = _sent(client, "HEAD", address)
        if answer.status_code in _NO_HEAD:
            answer = _sent(client, "GET", address)
        _check(answer)
        answer.close()
    headers = answer.headers
    length, changed = headers.get("content-length", ""), headers.get("last-modified", "")
    size = int(length) if length.isdecimal() and "content-encoding" not in headers else None
    strong = headers.get("etag", "")
    tag = strong if strong and not strong.startswith("W/") else f"{changed} {length}".strip() if changed else ""
    return Version(tag, size, _nanoseconds(changed), headers.get("content-type", ""))


def download(address: str, *, most: int) -> BinaryIO:
    """Return the content of a file, from its beginning. Raises OSError, also for one of more than `most` bytes."""
    file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, prefix="polyseme-")  # noqa: SIM115
    try:
        with _answered(address), _client() as client:
            answer = _sent(client, "GET", address)
            _check(answer)
            for block in _blocks(answer, address):
                file.write(block)
                if file.tell() > most:
                    raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes")
            answer.close()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast("BinaryIO", file)


@contextmanager
def _client() -> Iterator[httpx.Client]:
    import httpx

    headers = {"Accept-Encoding": "identity", "User-Agent": "polyseme"}
    with httpx.Client(timeout=_SECONDS, follow_redirects=True, headers=headers) as client:
        yield client


def _sent(client: httpx.Client, method: str, address: str) -> httpx.Response:
    """Return the beginning of an answer. What may pass, no answer or an overloaded server, is tried again."""
    import httpx

    for tried in range(1, _TRIES + 1):
        last = tried == _TRIES
        try:
            answer = client.send(client.build_request(method, address), stream=True)
            if last or answer.status_code not in _MAY_PASS:
                return answer
            answer.close()
        except httpx.TransportError:
            if last:
                raise
        time.sleep(2.0 ** (tried - 1))
    raise AssertionError("unreachable")


def _blocks(answer: httpx.Response, address: str) -> Iterator[bytes]:
    """Yield the file's own bytes: many servers call the compression of a `.gz` file that of their answer."""
    is_own = answer.headers.get("content-encoding") == "gzip" and address.lower().endswith(".gz")
    return answer.iter_raw(_BLOCK) if is_own else answer.iter_bytes(_BLOCK)


def _check(answer: httpx.Response) -> None:
    code, reason = answer.status_code, answer.reason_phrase
    if code in (404, 410):
        raise FileNotFoundError(errno.ENOENT, f"the server has no such file ({code})")
    if code != 200:
        number = errno.EACCES if code in (401, 403) else errno.EIO
        raise OSError(number, f"the server answered {code} {reason}")


@contextmanager
def _answered(address: str) -> Iterator[None]:
    """Turn httpx's errors into an OSError with a number and one line."""
    import httpx

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        host = urlsplit(address).netloc
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise OSError(errno.EIO, f"{host} did not give it: {said}") from error


def _nanoseconds(date: str) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 10**9
    except ValueError:
        return None
