"""The map: every sentence and occurrence has its point and its text, filters leave what they say, nothing is obeyed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from polyseme.flows.explorer import kept_layouts
from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.point_colours import FIRST_OF_SCALE, NONE, OTHER, colour
from polyseme.flows.explorer.point_maps import PointMap, Progress
from polyseme.storage.lake import Lake
from polyseme.storage.user_cache import cache_folder
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes
from tests.processes import DEADLINE_SECONDS

SENTENCES, BANKS = 18, 11
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def mapped_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("mapped") / "lake", embedded_lakes.documents())


@pytest.fixture(scope="module")
def live(mapped_lake: Lake, cache: Path) -> Iterator[LiveLake]:
    with LiveLake(mapped_lake, ModelFunctions, timeout=300) as opened:
        yield opened


@pytest.fixture(scope="module")
def explorer(live: LiveLake) -> TestClient:
    names = ("127.0.0.1",)
    return TestClient(application(live, title="Lake", names=names), base_url="http://127.0.0.1:8787")


def ready(explorer: TestClient, query: str) -> dict[str, Any]:
    """Return the state of a map once it is made."""
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        answer = explorer.get(f"/map.state?{query}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        if found["ready"]:
            return found
        assert found["doing"]
        time.sleep(0.05)
    raise AssertionError(f"not made: {found}")


def points(explorer: TestClient, query: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places, rows and codes of a map."""
    ready(explorer, query)
    body = explorer.get(f"/map.points?{query}").content
    count = len(body) // 13
    assert len(body) == 13 * count
    place = np.frombuffer(body, "<f4", 2 * count).reshape(-1, 2)
    return place, np.frombuffer(body, "<u4", count, 8 * count), np.frombuffer(body, np.uint8, count, 12 * count)


def made(live: LiveLake) -> PointMap:
    """Return the map of a lake's sentences once it is made."""
    end = time.monotonic() + DEADLINE_SECONDS
    while isinstance(found := live.sentence_map(), Progress) and time.monotonic() < end:
        time.sleep(0.05)
    assert isinstance(found, PointMap)
    return found


def test_every_sentence_is_a_point_with_its_text(explorer: TestClient) -> None:
    place, rows, _ = points(explorer, "of=sentences")
    assert sorted(rows) == list(range(SENTENCES))
    assert np.isfinite(place).all()
    assert len(np.unique(place, axis=0)) == SENTENCES
    wanted = [5, 0, 17]
    told = explorer.get(f"/map.json?of=sentences&rows={','.join(map(str, wanted))}").json()["points"]
    assert [row["row"] for row in told] == wanted
    texts = explorer.get("/sql.json?q=SELECT+text+FROM+sentences").json()["rows"]
    everything = explorer.get(f"/map.json?of=sentences&rows={','.join(map(str, range(SENTENCES)))}").json()["points"]
    assert sorted(row["text"] for row in everything) == sorted(row["text"] for row in texts)


def test_every_occurrence_is_a_point_and_coloured_by_its_sense(explorer: TestClient) -> None:
    state = ready(explorer, "of=words&w=bank")
    assert state["points"] == state["of"] == BANKS
    assert sum(entry["points"] for entry in state["legend"]) == BANKS
    assert all(entry["label"].startswith("sense ") for entry in state["legend"])
    told = explorer.get(f"/map.json?of=words&w=bank&rows={','.join(map(str, range(BANKS)))}").json()["points"]
    assert {row["word"].lower() for row in told} == {"bank"}
    assert all(row["text_before"] or row["text_after"] for row in told)


def test_the_legend_counts_what_the_points_have(explorer: TestClient) -> None:
    for by in ("document", "language", "margin", "m.n"):
        _, _, codes = points(explorer, f"of=sentences&colour={by}")
        legend = ready(explorer, f"of=sentences&colour={by}")["legend"]
        counted = dict(zip(*np.unique(codes, return_counts=True), strict=True))
        assert {entry["code"]: entry["points"] for entry in legend} == counted
    by_margin = points(explorer, "of=sentences&colour=margin")[2]
    assert (by_margin == NONE).sum() == 6, "the last sentence of each document"
    assert (by_margin >= FIRST_OF_SCALE).sum() == SENTENCES - 6


def test_rare_values_are_other(live: LiveLake) -> None:
    docs = live.ask("SELECT doc_id FROM documents")["doc_id"].combine_chunks()
    many = PointMap("x", docs, np.arange(6, dtype=np.int32), np.zeros(6, np.int32), np.zeros((6, 2), np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyseme.flows.explorer.point_colours.MOST_COLOURS", 4)
        found = colour(live, many, "document")
    assert sorted(found.code) == [0, 1, 2, 3, OTHER, OTHER]
    assert found.labels[OTHER] == "other (2)"


@pytest.mark.parametrize(
    ("narrowed", "left"),
    [("where=doc_id = 'river'", 3), ("where=n_sentences > 100", 0), ("m.n=2", 3), ("m.n=2&where=doc_id = 'river'", 0)],
)
def test_a_filter_leaves_the_points_of_the_documents_that_meet_it(
    explorer: TestClient, narrowed: str, left: int
) -> None:
    state = ready(explorer, f"of=sentences&{narrowed}")
    assert (state["points"], state["of"]) == (left, SENTENCES)
    assert len(points(explorer, f"of=sentences&{narrowed}")[1]) == left
    assert len(explorer.get(f"/map.json?of=sentences&{narrowed}").json()["points"]) == left


def test_points_that_are_known_are_not_sent_again(explorer: TestClient) -> None:
    ready(explorer, "of=sentences")
    first = explorer.get("/map.points?of=sentences")
    again = explorer.get("/map.points?of=sentences", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert explorer.get("/map.points?of=sentences&colour=margin").headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize(
    ("query", "explained"),
    [
        ("of=sentences&rows=-1", "rows takes"),
        ("of=sentences&rows=18", "rows takes"),
        ("of=sentences&rows=1e1", "rows takes"),
        ("of=sentences&rows=٣", "rows takes"),
        ("of=sentences&rows=1,,2", "rows takes"),
        (f"of=sentences&rows={'9' * 400}", "rows takes"),
        (f"of=sentences&rows={'1,' * 5000}1", "rows takes"),
        ("of=sentences&rows=1&version=older", "has changed"),
        ("of=sentences&where=1); DROP VIEW sentences; --", "SQL condition"),
        ("of=sentences&where=nothing", "is no column of documents"),
        ("of=words", "needs ?w="),
        ("of=everything", "one of"),
    ],
)
def test_what_no_map_has_is_refused_and_explained(explorer: TestClient, query: str, explained: str) -> None:
    ready(explorer, "of=sentences")
    answer = explorer.get(f"/map.json?{query}")
    assert answer.status_code == 400
    assert explained in answer.json()["error"]


@pytest.mark.parametrize("colour", ["nothing", "m.", "sense", "m.a'; DROP VIEW words", 'm.a"b'])
def test_no_colour_is_obeyed(explorer: TestClient, colour: str) -> None:
    ready(explorer, "of=sentences")
    answer = explorer.get("/map.points", params={"of": "sentences", "colour": colour})
    # A key that no document has is a key all the same: all points have none of it.
    kinds = set(answer.content[-SENTENCES:]) if answer.status_code == 200 else set()
    assert answer.status_code == 400 or kinds == {NONE}


@pytest.mark.parametrize("word", ["zyzzyva", "'; DROP VIEW words; --", "<script>", "a" * 5000])
def test_a_word_that_is_not_there_is_an_empty_map(explorer: TestClient, word: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not (state := explorer.get("/map.state", params={"of": "words", "w": word}).json())["ready"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert state["points"] == 0
    page = explorer.get("/map", params={"of": "words", "w": word})
    assert page.status_code == 404
    assert "<script>" not in page.text.replace("<script type", "")


def test_other_sites_get_no_points(explorer: TestClient) -> None:
    for place in ("/map.points?of=sentences", "/map.state?of=sentences", "/map.json?of=sentences&rows=1"):
        assert explorer.get(place, headers=FOREIGN).status_code == 403


def test_the_page_lists_texts_without_its_script(explorer: TestClient) -> None:
    page = explorer.get("/map?of=sentences&where=doc_id = 'river'").text
    assert "The fields were under water for a week." in page
    assert "A heron stood in the water." not in page
    words = explorer.get("/map?of=words&w=bank").text
    assert words.count("<li dir=") == BANKS


def test_a_kept_map_is_the_same_and_a_broken_one_is_made_anew(mapped_lake: Lake, live: LiveLake, cache: Path) -> None:
    first = made(live)
    (file,) = (cache / "polyseme" / "maps").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    written = file.stat().st_mtime_ns
    with LiveLake(mapped_lake, ModelFunctions) as again:
        assert (made(again).place == first.place).all()
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:200])
    with LiveLake(mapped_lake, ModelFunctions) as again:
        assert (made(again).place == first.place).all()
    assert file.stat().st_size > 200


def test_a_folder_that_cannot_be_written_is_no_failure(
    mapped_lake: Lake, live: LiveLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(live)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with LiveLake(mapped_lake, ModelFunctions) as again:
        assert (made(again).place == first.place).all()


def test_no_id_leads_out_of_the_cache_folder() -> None:
    for identity in (("../../etc", "x", "1"), ("a", "b/c", "1"), ("", "", "1" * 300), ("a\0", "b", "1")):
        file = kept_layouts._file(identity)
        assert file is None or file.parent.name == "maps"


def test_a_sentence_that_arrives_moves_no_other(tmp_path: Path, cache: Path) -> None:
    texts = embedded_lakes.documents()
    lake = embedded_lakes.make(tmp_path / "lake", texts[:4])
    with LiveLake(lake, ModelFunctions) as live:
        before = made(live)
    embedded_lakes.make(tmp_path / "lake", texts[4:], run_id="later")
    with LiveLake(lake, ModelFunctions) as live:
        after = made(live)
    assert (len(before), len(after)) == (12, 18)

    def placed(found: PointMap) -> dict[tuple[str, int], np.ndarray]:
        names = found.docs.to_pylist()
        keys = [(names[doc], int(index)) for doc, index in zip(found.doc, found.sentence, strict=True)]
        return dict(zip(keys, found.place, strict=True))

    now = placed(after)
    assert all(np.abs(now[key] - place).max() < 1e-4 for key, place in placed(before).items())


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user whom no file names
    assert cache_folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() is None
