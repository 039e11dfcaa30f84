"""Events with any JSON in them: what a flow takes is checked or refused, and nothing is opened that is not allowed."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from hypothesis import strategies as st

from polyseme.flows.coherence import coherence
from polyseme.flows.received_events import check_address, check_corpora, check_run_id
from polyseme.flows.server.allowed_lakes import allowed_lake
from polyseme.flows.server.corpora import chosen
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from tests import lakes
from tests.hostile.fuzzing import Property
from tests.repository import ROOT

_RUN = "run-0-d"


class Nested(NamedTuple):
    """A value within lists or objects, so many deep."""

    depth: int
    kind: str
    value: Any

    def made(self) -> Any:
        value = self.value
        for _ in range(self.depth):
            value = [value] if self.kind == "list" else {"a": value}
        return value


class Huge(NamedTuple):
    """An integer of so many digits, more than Python writes."""

    digits: int

    def made(self) -> int:
        return 10**self.digits


class Event(NamedTuple):
    """What `take` gets. `{here}` in a text is the server's folder, with the lakes `mine`, `link` and `evil`."""

    take: str
    values: list[Any]


_TEXTS = (
    "{here}/mine", "{here}/evil", "{here}/link", "{here}", "{here}/mine/../evil", "{here}/allowed/x", "{here}/allowed",
    "{here}/allowed/../evil", "file://{here}/mine", "file://{here}/evil", "file:///", "/", "mine", "~", "s3://evil/x",
    "s3://K:hush@evil/x", "s3://corpora/x", "s3://corpora/../x", "https://127.0.0.1:1/x", "http://[", "file://[/x",
    "//", _RUN, "news", "sport", "../../x", "polyseme.corpus.news", "polyseme.corpus.", "{{ x }}",
    "'; DROP TABLE runs; --", "a\nb", "\0", "\x1b[2J", "\u202e", "\ud800", "a" * 5000, "%2e%2e", "%00", "?", "#",
)  # fmt: skip
_PARTS = st.sampled_from(_TEXTS) | st.text(st.characters(), max_size=8)
_TEXT = _PARTS | st.lists(_PARTS, min_size=2, max_size=3).map("".join)
_LEAVES = st.one_of(
    _TEXT, _TEXT, st.none(), st.booleans(), st.integers(), st.floats(), st.builds(Huge, st.integers(4000, 100_000))
)
_JSON = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=6
)
_DEEP = st.builds(Nested, st.integers(0, 3000), st.sampled_from(["list", "object"]), _LEAVES)
_ANY = st.one_of(_TEXT, _JSON, _DEEP, st.lists(_TEXT | _LEAVES, max_size=4), st.just(["news"] * 2000))


def _event(payload: Any) -> Any:
    class Event:
        resource = payload if isinstance(payload, dict) else {"prefect.resource.id": payload}

    Event.payload = payload if isinstance(payload, dict) else {"lake": payload, "run_id": _RUN}  # type: ignore[attr-defined]
    return Event


@cache
def _templates() -> dict[str, dict[str, jinja2.Template]]:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    return {
        d["name"]: {
            name: jinja2.Environment().from_string(of["value"]["template"])
            for name, of in d["triggers"][0]["parameters"].items()
        }
        for d in deployments
        if d["name"] in ("on-commit", "on-arrival")
    }


def _parameters(deployment: str, payload: Any) -> dict[str, Any]:
    """Return what Prefect takes from an event by our `prefect.yaml`; what Prefect itself refuses never arrives."""
    with suppress(ValueError, RecursionError, TypeError, jinja2.TemplateError):
        return {
            name: json.loads(template.render(event=_event(payload)))
            for name, template in _templates()[deployment].items()
        }
    raise UsageError("no event of Prefect's")


def _is_text(value: object) -> None:
    assert isinstance(value, str)


def _are_names(value: object) -> None:
    assert value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _is_allowed(lake: Lake, here: Path) -> None:
    place = str(lake.root)
    allowed = (f"{here}/mine", f"{here}/allowed", f"{here}/allowed/", "s3://corpora/")
    assert place in allowed or place.startswith(allowed[2:]), place
    assert ".." not in place.split("/")


def _commit(place: Path, values: list[Any]) -> None:
    coherence.fn(**_parameters("on-commit", {"lake": values[0], "run_id": values[1]}))


TAKES: dict[str, Callable[[Path, list[Any]], None]] = {
    "address": lambda here, values: _is_text(check_address(values[0])),
    "run": lambda here, values: _is_text(check_run_id(values[0])),
    "corpora": lambda here, values: _are_names(check_corpora(values[0])),
    "chosen": lambda here, values: _are_names([c.name for c in chosen(check_corpora(values[0]))]),
    "lake": lambda here, values: _is_allowed(allowed_lake(values[0]), here),
    "report": lambda here, values: coherence.fn(values[0], values[1]),
    "commit": _commit,
    "arrival": lambda here, values: _are_names(check_corpora(_parameters("on-arrival", values[0])["corpora"])),
}
_OF_LAKES = frozenset({"address", "lake", "report", "commit"})
CASES = st.builds(Event, st.sampled_from([*TAKES]), st.lists(_ANY, min_size=2, max_size=2))


@contextmanager
def promise() -> Iterator[Property]:
    """Give what is promised of events, in the folder of a server with a configured lake and one of a stranger."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        for name in ("mine", "evil"):
            with Catalog.create_or_open(Lake(here / name)) as catalog:
                lakes.commit(catalog, lakes.make_spec(), {"d": ["Text."]})
        (here / "link").symlink_to(here / "evil")
        (here / "news").mkdir()
        (here / "polyseme.toml").write_text(
            'allowed_lakes = ["allowed", "s3://corpora"]\n[corpus.news]\nsources = ["news"]\nlake = "mine"\n'
        )
        os.chdir(here)
        try:
            yield Property(CASES, lambda event: _check(event, here))
        finally:
            os.chdir(before)


def _check(event: Event, here: Path) -> None:
    values = [_placed(value, here) for value in event.values]
    before = _contents(here)
    with _watched(here / "evil") as opened:
        message = _refusal(event.take, here, values)
    assert len(message) < 1000, "a message without end"
    assert message.isprintable(), ascii(message)
    if event.take in _OF_LAKES and isinstance(event.values[0], str) and event.values[0].startswith("s3://K:hush@"):
        assert "hush" not in message
    # A report of a lake that is allowed goes on to Prefect's server.
    opened = [what for what in opened if message or not what.startswith("socket")]
    assert opened == [], opened
    assert _contents(here) == before


def _refusal(take: str, here: Path, values: list[Any]) -> str:
    """Return the message of the error; empty if the values were taken."""
    intended = PolysemeError if take in _OF_LAKES else UsageError
    try:
        TAKES[take](here, values)
    except intended as error:
        return str(error)
    return ""


def _placed(value: Any, here: Path) -> Any:
    if isinstance(value, Nested):
        return Nested(value.depth, value.kind, _placed(value.value, here)).made()
    if isinstance(value, Huge):
        return value.made()
    if isinstance(value, str):
        return value.replace("{here}", str(here))
    if isinstance(value, list):
        return [_placed(item, here) for item in value]
    if isinstance(value, dict):
        return {_placed(name, here): _placed(item, here) for name, item in value.items()}
    return value


def _contents(here: Path) -> dict[str, int]:
    return {str(p): p.stat().st_size for p in here.rglob("*") if not p.name.startswith("catalog.sqlite")}


_watching: list[tuple[str, list[str]]] = []
_OPENING = frozenset({"open", "sqlite3.connect", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo"})


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _OPENING:
        forbidden, opened = _watching[-1]
        name = str(arguments[1] if event == "socket.connect" else arguments[0])
        if forbidden in name or event.startswith("socket"):
            opened.append(f"{event} {name!a}")


@cache
def _hook() -> None:
    sys.addaudithook(_watch)


@contextmanager
def _watched(forbidden: Path) -> Iterator[list[str]]:
    """Give a list of what this process opens in a folder, or connects to, meanwhile."""
    _hook()
    _watching.append((str(forbidden), []))
    try:
        yield _watching[-1][1]
    finally:
        _watching.pop()
