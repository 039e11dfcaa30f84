"""Events that anybody can post: none makes a standing server open a lake or a corpus that is not configured."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from polyseme.flows.coherence import coherence
from polyseme.flows.received_events import check_address, check_corpora, check_run_id
from polyseme.flows.scheduled import embed_corpora, reconcile
from polyseme.flows.server.allowed_lakes import allowed_lake
from polyseme.storage.catalog import Catalog
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from tests import lakes
from tests.repository import ROOT

SPEC = lakes.make_spec()
DEPLOYMENTS = {d["name"]: d for d in yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server's folder: a configured lake, and another one that a stranger made, whose name is SQL."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "evil"):
        with Catalog.create_or_open(Lake(tmp_path / name)) as catalog:
            lakes.commit(catalog, SPEC, {"d": ["Text.", "More."]})
    pwned = f"x AS SELECT 1 AS a; COPY (SELECT 1) TO ''{tmp_path}/pwned'' (FORMAT csv); CREATE VIEW y"
    with sqlite3.connect(tmp_path / "evil" / "catalog.sqlite") as raw:
        raw.execute(f"UPDATE encodings SET name = '{pwned}'")
    raw.close()
    (tmp_path / "news").mkdir()
    (tmp_path / "polyseme.toml").write_text('[corpus.news]\nsources = ["news"]\nlake = "mine"\n')
    return tmp_path


def parameters(deployment: str, event: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that Prefect takes from an event by our `prefect.yaml`."""

    class Event:
        payload, resource = event.get("payload", {}), event.get("resource", {})

    environment = jinja2.Environment()
    templates = DEPLOYMENTS[deployment]["triggers"][0]["parameters"]
    return {
        name: json.loads(environment.from_string(of["value"]["template"]).render(event=Event))
        for name, of in templates.items()
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


COMMITTED: dict[str, tuple[object, object, str]] = {
    "another lake": ("{place}/evil", "run-0-d", "not configured here"),
    "another lake by a way around": ("{place}/mine/../evil", "run-0-d", "not configured here"),
    "another lake by a link": ("{place}/link", "run-0-d", "not configured here"),
    "another lake by its file address": ("file://{place}/evil", "run-0-d", "not configured here"),
    "a folder in the lake": ("{place}/mine/data", "run-0-d", "not configured here"),
    "the folder above": ("{place}", "run-0-d", "not configured here"),
    "the root": ("/", "run-0-d", "not configured here"),
    "a device": ("/dev/zero", "run-0-d", "not configured here"),
    "a bucket": ("s3://evil/lake", "run-0-d", "not configured here"),
    "a server": ("https://evil.example/lake", "run-0-d", "not configured here"),
    "a secret": ("s3://K:hush@evil/lake", "run-0-d", "stored and logged"),
    "a host that is none": ("file://[/x@y", "run-0-d", "A lake cannot be at"),
    "a relative path": ("mine", "run-0-d", "a full path or a URL"),
    "the home folder": ("~/mine", "run-0-d", "a full path or a URL"),
    "no lake": ("", "run-0-d", "a full path or a URL"),
    "two lines": ("{place}/mine\n{place}/evil", "run-0-d", "a full path or a URL"),
    "an end of text": ("{place}/mine\0", "run-0-d", "a full path or a URL"),
    "colours": ("/\x1b[31mmine", "run-0-d", "a full path or a URL"),
    "a path without end": ("/" + "a" * 5000, "run-0-d", "a full path or a URL"),
    "a number": (7, "run-0-d", "a full path or a URL"),
    "a list": (["{place}/mine"], "run-0-d", "a full path or a URL"),
    "nothing": (None, "run-0-d", "a full path or a URL"),
    "a template": ("{{ x }}", "run-0-d", "a full path or a URL"),
    "a run that is SQL": ("{place}/mine", "x'; DROP TABLE runs; --", "run_id"),
    "a run that is a path": ("{place}/mine", "../../etc/passwd", "run_id"),
    "a run of two lines": ("{place}/mine", "a\n# b", "run_id"),
    "a run without end": ("{place}/mine", "a" * 1000, "run_id"),
    "a run that is a number": ("{place}/mine", 1, "run_id"),
    "a run that is a list": ("{place}/mine", ["run"], "run_id"),
    "a run that is an object": ("{place}/mine", {"a": 1}, "run_id"),
    "no run": ("{place}/mine", "", "run_id"),
    "markup": ("{place}/mine", "<img src=x>", "run_id"),
}


@pytest.mark.parametrize(("lake", "run_id", "message"), COMMITTED.values(), ids=COMMITTED)
def test_a_forged_commit_opens_nothing(place: Path, lake: object, run_id: object, message: str) -> None:
    (place / "link").symlink_to(place / "evil")
    text = json.dumps({"lake": lake, "run_id": run_id}).replace("{place}", str(place))
    given = parameters("on-commit", {"payload": json.loads(text)})
    before = snapshot(place)
    with pytest.raises(UsageError, match=message) as caught:
        coherence.fn(**given)
    assert "hush" not in str(caught.value)
    assert snapshot(place) == before


CHANGED: dict[str, tuple[str, str]] = {
    "a corpus that is not there": ("polyseme.corpus.sport", "no \\[corpus.sport\\]"),
    "a path": ("polyseme.corpus.../../evil", "as its corpus"),
    "a full path": ("polyseme.corpus./etc/passwd", "as its corpus"),
    "no name": ("polyseme.corpus.", "as its corpus"),
    "no corpus at all": ("", "as its corpus"),
    "capitals": ("polyseme.corpus.NEWS", "as its corpus"),
    "two lines": ("polyseme.corpus.news\n", "as its corpus"),
    "two names": ("polyseme.corpus.news,evil", "as its corpus"),
    "quotes": ('polyseme.corpus.news"]', "as its corpus"),
    "markup": ("polyseme.corpus.<script>", "as its corpus"),
    "a name without end": ("polyseme.corpus." + "a" * 10_000, "as its corpus"),
    "colours": ("polyseme.corpus.\x1b[31m", "as its corpus"),
}


@pytest.mark.parametrize(("resource", "message"), CHANGED.values(), ids=CHANGED)
def test_a_forged_change_scans_nothing(place: Path, resource: str, message: str) -> None:
    given = parameters("on-arrival", {"resource": {"prefect.resource.id": resource}})
    before = snapshot(place)
    for flow in (embed_corpora, reconcile):
        with pytest.raises(UsageError, match=message) as caught:
            flow.fn(**given)
        assert len(str(caught.value)) < 400
    assert snapshot(place) == before


@pytest.mark.parametrize("values", ["news", {"a": 1}, 7, ["news", 1], [None], ["a"] * 2000])
def test_corpora_are_a_list_of_names(values: object) -> None:
    with pytest.raises(UsageError, match="as its corp"):
        check_corpora(values)


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [nested(50_000), [10**5000], 10**5000, {"a": [10**5000]}], ids=lambda v: type(v).__name__
)
def test_what_python_cannot_write_is_refused_too(value: object) -> None:
    for check in (check_corpora, check_run_id, check_address, allowed_lake):
        with pytest.raises(UsageError) as caught:
            check(value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("address", ["s3://K:hush@evil/a\nb", "s3://K:hush@evil/" + "a" * 5000])
def test_a_secret_in_an_address_that_is_refused_for_another_reason_is_not_quoted(address: str) -> None:
    with pytest.raises(UsageError, match="stored and logged") as caught:
        check_address(address)
    assert "hush" not in str(caught.value)


def test_a_corpus_is_scanned_once_however_often_it_is_named() -> None:
    assert check_corpora(["news", "news", "a"]) == ["news", "a"]
    assert check_corpora(None) is None


def test_a_configured_lake_is_opened_with_its_own_catalog(place: Path) -> None:
    (place / "polyseme.toml").write_text(
        f'[corpus.news]\nsources = ["news"]\nlake = "mine"\ncatalog = "sqlite:///{place}/c.sqlite"\n'
    )
    found = allowed_lake(f"{place}/mine")
    assert found.root == place / "mine"
    assert found.catalog == f"sqlite:///{place}/c.sqlite"


def test_lakes_of_the_file_the_environment_and_allowed_folders_are_opened(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(place / "evil")
    with pytest.raises(UsageError, match="allowed_lakes"):
        allowed_lake(f"{place}/lakes/other")
    (place / "polyseme.toml").write_text(
        'lake = "top"\nallowed_lakes = ["lakes", "s3://corpora"]\n[embed]\nlake = "e"\n'
    )
    monkeypatch.setenv("POLYSEME_LAKE", f"{place}/environment")
    for name in ("top", "e", "environment", "lakes/other", "lakes"):
        assert allowed_lake(f"{place}/{name}").root == place / name
    assert str(allowed_lake("s3://corpora/news").root) == "s3://corpora/news"
    for address in (f"{place}/lakes/../evil", f"{place}/lakesx", "s3://corporax/news", "s3://corpora/../evil"):
        with pytest.raises(PolysemeError, match="not configured here"):
            allowed_lake(address)
