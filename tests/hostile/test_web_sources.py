"""Files of the web as sources: one request says whether a file changed, and nothing is deleted on a failure."""

from __future__ import annotations

import time

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.patterns import Patterns
from polyseme.tasks.reading.resolving import names, resolve
from polyseme.tasks.reading.web_files import address_of
from polyseme.tasks.reading.web_source import WebSource, _name
from tests.extras import require
from tests.hostile.lakeside import Lakeside, lakeside
from tests.web_site import Site, put, server, site

__all__ = ["lakeside", "server", "site"]

DATE = "Sat, 28 Nov 2015 09:00:00 GMT"


def asked() -> list[str]:
    made = [f"{command} {path}" for command, path in Site.requests]
    Site.requests.clear()
    return made


def test_an_unchanged_file_is_asked_for_once_and_not_downloaded(lakeside: Lakeside, site: str) -> None:
    put("/a.txt", b"The heron stood.", ETag='"1"')
    assert lakeside.embed(f"{site}/a.txt").tally.new == 1
    assert asked() == ["HEAD /a.txt", "GET /a.txt"]
    assert lakeside.embed(f"{site}/a.txt").tally.unopened == 1
    assert asked() == ["HEAD /a.txt"]
    put("/a.txt", b"The heron flew.", ETag='"2"')
    assert lakeside.embed(f"{site}/a.txt").tally.changed == 1
    assert lakeside.documents() == {f"{site}/a.txt": f"{site}/a.txt"}


def test_a_file_of_which_the_server_says_nothing_is_read_each_time(lakeside: Lakeside, site: str) -> None:
    put("/a.txt", b"The heron stood.")
    for _ in range(2):
        scan = lakeside.embed(f"{site}/a.txt")
        assert asked() == ["HEAD /a.txt", "GET /a.txt"]
    assert (scan.tally.unchanged, scan.tally.unopened) == (1, 0)


@pytest.mark.parametrize(("headers", "unopened"), [({"Last_Modified": DATE}, 1), ({"Last_Modified": "now"}, 0)])
def test_a_date_counts_once_it_is_a_minute_old(
    lakeside: Lakeside, site: str, headers: dict[str, str], unopened: int
) -> None:
    if headers["Last_Modified"] == "now":
        headers = {"Last_Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())}
    put("/a.txt", b"The heron stood.", **headers)
    lakeside.embed(f"{site}/a.txt")
    assert lakeside.embed(f"{site}/a.txt").tally.unopened == unopened


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_gone_is_deleted_once_that_is_confirmed(lakeside: Lakeside, site: str, status: int) -> None:
    address = f"{site}/a.txt"
    put("/a.txt", b"The heron stood.", ETag='"1"')
    lakeside.embed(address)
    put("/a.txt", status)
    assert (lakeside.embed(address).tally.deleted, len(lakeside.documents())) == (0, 1)
    assert [held.source for held in lakeside.held()] == [address]
    assert lakeside.embed(address, limit="100%").tally.deleted == 1
    with pytest.raises(UsageError, match="does not exist"):
        resolve([address])


@pytest.mark.parametrize("status", [500, 403, 429])
def test_a_server_that_fails_costs_a_reject_and_no_document(lakeside: Lakeside, site: str, status: int) -> None:
    address = f"{site}/a.txt"
    put("/a.txt", b"The heron stood.", ETag='"1"')
    lakeside.embed(address)
    put("/a.txt", status)
    scan = lakeside.embed(address, limit="100%")
    assert (scan.tally.deleted, lakeside.rejects(), len(lakeside.documents())) == (0, ["unreadable"], 1)
    put("/a.txt", b"The heron stood.", ETag='"1"')
    assert (lakeside.embed(address).tally.unchanged, lakeside.rejects()) == (1, [])


def test_a_download_that_ends_early_costs_a_reject(lakeside: Lakeside, site: str) -> None:
    put("/a.txt", b"The heron", ETag='"1"', Content_Length="900")
    assert (lakeside.embed(f"{site}/a.txt").tally.documents, lakeside.rejects()) == (0, ["unreadable"])


@pytest.mark.parametrize(
    ("path", "kind", "content", "end"),
    [
        ("/records.jsonl", "text/plain", b'{"text": "One."}\n{"text": "Two."}\n', "#2"),
        ("/feed", "application/x-ndjson; charset=utf-8", b'{"text": "One."}\n', "#1"),
        ("/page.php", "text/plain", b"The heron.", ""),
        ("/page.php", "application/octet-stream", b"The heron.", ""),
        ("/folder/", "text/plain", b"The heron.", ""),
    ],
)
def test_the_name_says_the_format_or_the_server_or_the_content(
    lakeside: Lakeside, site: str, path: str, *, kind: str, content: bytes, end: str
) -> None:
    put(path, content, Content_Type=kind)
    lakeside.embed(site + path)
    assert max(lakeside.documents()) == f"{site}{path}{end}"


@pytest.mark.extra
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", ""])
def test_a_home_page_is_a_file_whatever_its_host_ends_in(lakeside: Lakeside, site: str, kind: str) -> None:
    require("resiliparse", "documents")
    put("/", b"<html><title>Home</title><p>The heron stood.</p></html>", ETag='"1"', Content_Type=kind)
    # A host such as `host.zip` has no suffix, and neither has this one.
    for address in (site, f"{site}/"):
        lakeside.embed(address)
        assert lakeside.documents() == {f"{site}/": f"{site}/"}
    assert lakeside.rejects() == []
    assert _name("https://example.zip/") == _name("https://example.zip") == "index"


def test_an_address_with_and_without_its_default_port_is_one_document(lakeside: Lakeside) -> None:
    sources = [WebSource(spec, "web", address_of(spec)) for spec in ("https://h.org:443/a.txt", "https://H.org/a.txt")]
    assert sources[0].name == sources[1].name == sources[1].single == "https://h.org/a.txt"


def test_records_whose_ids_are_addresses_are_no_files_of_the_web(lakeside: Lakeside, site: str) -> None:
    put("/a.txt", b"The heron stood.", ETag='"1"')
    put("/r.jsonl", b'{"id": "https://example.org/a", "text": "One."}\n', ETag='"1"')
    addresses = [f"{site}/a.txt", f"{site}/r.jsonl"]
    assert lakeside.embed(*addresses).tally.new == 2
    assert lakeside.embed(*addresses).tally.unopened == 2


def test_patterns_and_odd_addresses(site: str) -> None:
    put("/a%20%C3%BC.txt", b"The heron.")
    (source,) = resolve([f"{site}/a ü.txt"], patterns=Patterns(exclude=("*.md",)))
    assert names([source]) == [f"{site}/a%20%C3%BC.txt"]
    assert source.covers(f"{site}/a%20%C3%BC.txt!/b.txt") is True
    (left_out,) = resolve([f"{site}/a ü.txt"], patterns=Patterns(exclude=("*.txt",)))
    assert (left_out.is_left_out, left_out.covers(left_out.target)) == (True, False)
