"""The pages of the explorer: each shows what the lake has, links to what there is, and says what is wrong."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from polyseme.flows.cli import main
from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.pages.all_pages import PAGES
from polyseme.flows.explorer.pages.compare import suggested_conditions
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes
from tests.flows.explorer.reading import Reading, assert_harmless, charts

ADDRESSES = (
    "/", "/documents", "/document?id=river", "/word?w=bank", "/word?w=bank&near=1", "/sense?w=bank&n=1",
    "/drift", "/drift?w=bank&by=n", "/sentence?doc=river&i=0", "/compare", "/compare?a=doc_id+LIKE+'%25i%25'",
    "/sql?q=FROM+sentences+LIMIT+2", "/runs", "/rejects",
)  # fmt: skip


@pytest.fixture(scope="module")
def two_encodings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The explorer of a lake of six documents in two encodings."""
    root = tmp_path_factory.mktemp("two") / "lake"
    for number, config in enumerate((EngineConfig(), EngineConfig(layers="1"))):
        lake = embedded_lakes.make(root, embedded_lakes.documents(), config=config, run_id=f"run{number}")
    with LiveLake(lake, ModelFunctions) as live:
        yield TestClient(application(live, title="Two"), base_url="http://127.0.0.1")


def test_every_page_that_a_link_leads_to_is_there_and_harmless(explorer: TestClient) -> None:
    queue, seen = ["/"], set[str]()
    while queue:
        place = queue.pop()
        if place in seen:
            continue
        seen.add(place)
        answer = explorer.get(place)
        assert answer.status_code == 200, f"{place}: {Reading(answer.text).text[:500]}"
        if "html" in answer.headers["content-type"]:
            queue += [link for link in assert_harmless(answer.text).links if link.startswith("/")]
    kinds = {place.split("?")[0].strip("/") or "overview" for place in seen}
    assert kinds >= {"overview", "documents", "document", "sentence", "sql", "runs", "rejects"}
    documents = {dict(parse_qsl(urlsplit(place).query))["id"] for place in seen if place.startswith("/document?")}
    assert len(documents) == 12


@pytest.mark.parametrize("place", ADDRESSES)
def test_a_page_is_the_same_as_data(explorer: TestClient, place: str) -> None:
    path, _, query = place.partition("?")
    name = path.strip("/") or "overview"
    tables = explorer.get(f"/{name}.json?{query}").json()
    first = next(iter(tables))
    rows = list(csv.DictReader(StringIO(explorer.get(f"/{name}.csv?{query}").text)))
    stored = pq.read_table(BytesIO(explorer.get(f"/{name}.parquet?{query}").content))
    assert len(rows) == stored.num_rows == len(tables[first])
    assert stored.column_names == list(rows[0] if rows else stored.column_names)
    for table, wanted in tables.items():
        assert explorer.get(f"/{name}.json?{query}&table={table}").json() == {table: wanted}


@pytest.mark.parametrize(
    ("name", "query", "table"),
    [("documents", "", "documents"), ("word", "w=bank", "concordance"), ("map", "", "points")],
)
def test_a_list_of_several_pages_is_whole_as_data(
    explorer: TestClient, monkeypatch: pytest.MonkeyPatch, name: str, query: str, table: str
) -> None:
    monkeypatch.setattr(f"polyseme.flows.explorer.pages.{name}.A_PAGE", 5)
    shown = Reading(explorer.get(f"/{name}?{query}&page=2").text)
    (data,) = [link for link in shown.links if link.startswith(f"/{name}.json")]
    rows = explorer.get(data).json()[table]
    assert len(rows) > 10
    assert explorer.get(f"/{name}.json?{query}&page=2").json()[table] == rows[5:10]
    assert pq.read_table(BytesIO(explorer.get(f"/{name}.parquet?{query}").content)).num_rows == len(rows)


def test_a_document_is_shown_whole_and_in_order(explorer: TestClient) -> None:
    shown = Reading(explorer.get("/document?id=money").text).text
    assert "On money" in shown
    places = [shown.index(sentence) for sentence in ("The bank lent him", "He paid it back", "His account is closed")]
    assert places == sorted(places)


def test_the_curve_of_a_document_has_every_step(explorer: TestClient) -> None:
    steps = explorer.get("/document.json?id=money").json()["steps"]
    assert [step["sentence_index"] for step in steps] == [0, 1]
    curve = charts(explorer.get("/document?id=money").text)[0]
    assert [step["margin"] for step in curve] == [step["margin"] for step in steps]


def test_the_first_sentence_of_a_later_page_has_its_step(explorer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def margins(page: int) -> list[str]:
        return re.findall('data-margin="([^"]*)"', explorer.get(f"/document?id=money&page={page}").text)

    whole = margins(1)
    monkeypatch.setattr("polyseme.flows.explorer.pages.document.A_PAGE", 2)
    assert [*margins(1), *margins(2)] == whole
    assert whole[0] == ""
    assert all(whole[1:])


def test_a_word_is_shown_with_its_senses_its_places_and_how_often(explorer: TestClient) -> None:
    tables = explorer.get("/word.json?w=bank&by=n").json()
    assert len(tables["concordance"]) == len(tables["senses"]) >= 12
    assert {row["word"].lower() for row in tables["concordance"]} == {"bank"}
    assert sum(row["occurrences"] for row in tables["frequency"]) == len(tables["concordance"])


def test_a_word_is_as_frequent_by_a_key_as_in_the_frequency_list_of_those_documents(explorer: TestClient) -> None:
    found = {row["value"]: row for row in explorer.get("/word.json?w=vault&by=n").json()["frequency"]}
    assert sorted(found) == ["0", "1", "2", "3", "4", "5", "9"]
    assert {value for value, row in found.items() if row["occurrences"]} == {"5"}
    assert found["0"]["per_million"] == 0
    sql = "SELECT per_million FROM word_frequencies(docs := ['safe']) WHERE word = 'vault'"
    (listed,) = explorer.get("/sql.json", params={"q": sql}).json()["rows"]
    assert found["5"]["per_million"] == pytest.approx(listed["per_million"])


def test_a_word_in_slices_of_the_corpus(explorer: TestClient) -> None:
    rows = explorer.get("/drift.json?w=bank&by=n&bins=2").json()["slices"]
    assert len(rows) == 2
    assert sum(row["occurrences"] for row in rows) == len(explorer.get("/word.json?w=bank").json()["senses"])
    assert all(abs(sum(row["shares"]) - 1) < 1e-6 for row in rows)
    assert rows[0]["apd"] is None
    assert rows[1]["apd"] > 0


def test_two_slices_are_compared_by_what_they_hold(explorer: TestClient) -> None:
    found = explorer.get("/compare.json", params={"a": "doc_id IN ('river', 'canal')"}).json()
    assert [row["documents"] for row in found["figures"]] == [2, 10]
    other = explorer.get("/compare.json", params={"a": "doc_id = 'river'", "b": "doc_id = 'canal'"}).json()
    assert [row["documents"] for row in other["figures"]] == [1, 1]


def test_two_encodings_are_compared_by_the_sentences_they_find_alike(two_encodings: TestClient) -> None:
    (found,) = two_encodings.get("/compare.json?encoding=polyseme_mini&other=polyseme_mini_layer1").json()["agreement"]
    assert found["sentences_compared"] == 18
    assert 0 < found["overlap_at_10"] <= 1
    assert -1 <= found["similarity_correlation"] <= 1
    assert "polyseme_mini_layer1" in two_encodings.get("/compare").text
    page = Reading(two_encodings.get("/compare?encoding=polyseme_mini&other=polyseme_mini_layer1").text).text
    assert "18.00" not in page


def test_pages_of_comparisons_lead_to_some(two_encodings: TestClient) -> None:
    compare = Reading(two_encodings.get("/compare").text)
    asked = [dict(parse_qsl(urlsplit(link).query)) for link in compare.links if link.startswith("/compare?")]
    assert [sorted(query) for query in asked] == [["a"], ["encoding", "other"]]
    drift = [link for link in Reading(two_encodings.get("/drift").text).links if link.startswith("/drift?")]
    assert "water" in {dict(parse_qsl(urlsplit(link).query))["w"] for link in drift}
    assert all(two_encodings.get(link).status_code == 200 for link in [*drift, *compare.links[1:]])


def test_the_overview_says_what_status_says(tmp_path, capfd) -> None:  # type: ignore[no-untyped-def]
    root, documents = tmp_path / "lake", embedded_lakes.documents()
    embedded_lakes.make(root, documents)
    lake = embedded_lakes.make(root, documents[:4], config=EngineConfig(layers="1"), run_id="second")
    with pytest.raises(SystemExit):
        main(["status", "--lake", str(root), "--json"])
    said = json.loads(capfd.readouterr().out)
    before = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file() and "-shm" not in path.name}
    with LiveLake(lake, ModelFunctions) as live:
        client = TestClient(application(live, title="Stale"), base_url="http://127.0.0.1")
        tables, page = client.get("/overview.json").json(), assert_harmless(client.get("/").text)
    assert tables["to_do"] == said["to_do"] != []
    assert [row["missing"] for row in tables["staleness"]] == [row["missing"] for row in said["encodings"]] == [0, 2]
    assert tables["replaced_parts"] == [said["replaced_parts"]]
    assert all(said["command"] in page.text for said in said["to_do"])
    assert {path: path.read_bytes() for path in before} == before


def test_a_lake_of_sentences_has_the_word_from_their_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lake = embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents(), outputs=Outputs(level="sentences"))
    with LiveLake(lake, ModelFunctions) as live:
        client = TestClient(application(live, title="Sentences"), base_url="http://127.0.0.1")
        page = client.get("/word?w=the+bank")
        assert page.status_code == 200
        assert "does not keep vectors" in page.text
        text = " ".join(embedded_lakes.TEXTS.values())
        assert len(client.get("/word.json?w=bank").json()["concordance"]) == text.count("bank")
        assert client.get("/sense?w=bank").status_code == 404
        assert client.get("/drift?w=bank&by=n").status_code == 404
        assert client.get("/sentence?doc=river&i=0").status_code == 200


def test_a_phrase_and_another_case_are_found(explorer: TestClient) -> None:
    assert len(explorer.get("/word.json?w=the+BANK").json()["concordance"]) > 3


def test_sorting_by_the_words_on_the_left_and_right_and_not_by_marks(explorer: TestClient) -> None:
    for order, column in (("right", "text_after"), ("left", "text_before")):
        found = explorer.get(f"/word.json?w=bank&sort={order}").json()["concordance"]
        words = [re.findall(r"\w+", row[column].lower()) for row in found]
        assert words == sorted(words, key=lambda line: line if order == "right" else line[::-1])


def test_the_heading_of_a_column_of_numbers_stands_above_them(explorer: TestClient) -> None:
    page = explorer.get("/sql", params={"q": "SELECT 'one' AS text, 1 AS number UNION ALL SELECT 'none', NULL"}).text
    assert '<th scope="col">text</th><th scope="col" class="n">number</th>' in page
    assert page.count('<td class="n">') == 2


@pytest.mark.parametrize("key", ["", "a\\", 'q"q', "*", "a.b", "a/b", "~1", "$", "[0]", "n\x00l", "#"])
def test_any_key_of_the_metadata_can_be_narrowed_by(tmp_path: Path, key: str) -> None:
    values = ("old", "new") * 3
    documents = [
        replace(document, metadata=json.dumps({"year": year, key: value}))
        for document, value, year in zip(embedded_lakes.documents(), values, range(6), strict=True)
    ]
    with LiveLake(embedded_lakes.make(tmp_path / "lake", documents), ModelFunctions) as live:
        client = TestClient(application(live, title="Keys"))
        for place in ("/documents", "/map", "/compare", "/drift", "/word?w=bank"):
            assert client.get(place).status_code == 200
        narrowed = client.get("/documents.json", params={f"m.{key}": "new"}).json()["documents"]
        assert {found["doc_id"] for found in narrowed} == {"canal", "money", "safe"}
        if key:
            frequency = client.get("/word.json", params={"w": "bank", "by": key, "table": "frequency"}).json()
            assert {row["value"] for row in frequency["frequency"]} == set(values)
            (condition,) = (shown for name, shown in suggested_conditions(live).items() if name.startswith(f"{key}: "))
            assert client.get("/compare", params={"a": condition}).status_code == 200


def test_facets_and_conditions_narrow_the_documents(explorer: TestClient) -> None:
    def found(query: str) -> set[str]:
        return {row["doc_id"] for row in explorer.get(f"/documents.json?{query}").json()["documents"]}

    assert len(found("")) == 12
    assert found("m.n=2") == {"brook"}
    assert found("q=RIV") == {"river"}
    assert found("where=n_sentences>0+AND+doc_id+IN+('loan','safe')") == {"loan", "safe"}
    assert found("where=doc_id>'l'&m.n=4") == {"loan"}


def test_the_nearest_sentences_do_not_have_the_sentence_itself(explorer: TestClient) -> None:
    found = explorer.get("/sentence.json?doc=loan&i=0&k=3").json()
    assert len(found["nearest"]) == 3
    assert ("loan", 0) not in {(row["doc_id"], row["sentence_index"]) for row in found["nearest"]}
    assert found["nearest"] == sorted(found["nearest"], key=lambda row: -row["similarity"])
    assert all(-1 <= row["similarity"] <= 1.001 for row in found["aligned"])


@pytest.mark.parametrize(
    ("place", "code", "says"),
    [
        ("/nowhere", 404, "no such page"),
        ("/document?id=absent", 404, "no document with the id"),
        ("/document", 400, "?id="),
        ("/sentence?doc=river&i=99", 404, "no sentence 99"),
        ("/sentence?doc=river&i=x", 400, "whole number"),
        ("/word?w=zyzzyva", 404, "does not occur"),
        ("/word?w=bnak", 404, "Spelled like it: bank"),
        ("/word?w=bank+zyzzyva", 404, "Its words, one by one: bank"),
        ("/word?w=bank&lemma=1", 404, "without a lemma"),
        ("/sense?w=bank&n=99", 404, "none is number 99"),
        ("/drift?w=zyzzyva&by=n", 404, "occurs in no document"),
        ("/drift?w=bank&by=n&bins=weeks", 400, "one of auto"),
        ("/compare?a=nothing+here", 400, "condition"),
        ("/compare?a=false", 400, "first condition"),
        ("/compare?a=true", 400, "second condition"),
        ("/compare?encoding=polyseme_mini&other=none", 404, "no encoding"),
        ("/documents?page=0", 400, "page has to be"),
        ("/documents?sort=upwards", 400, "one of title"),
        ("/documents?where=nothing+here", 400, "The condition takes a SQL condition"),
        ("/sql?q=SELECT+nothing", 400, "nothing"),
        ("/sql?q=COPY+documents+TO+'/tmp/x'", 400, "not allowed"),
        ("/sql?q=SELECT+*+FROM+read_text('/etc/passwd')", 400, "Permission"),
    ],
)
def test_what_is_wrong_is_said_on_a_page_and_in_data(explorer: TestClient, place: str, code: int, says: str) -> None:
    answer = explorer.get(place)
    assert answer.status_code == code
    assert says in assert_harmless(answer.text).text
    path, _, query = place.partition("?")
    if path.strip("/") in PAGES:
        data = explorer.get(f"{path}.json?{query}")
        assert data.status_code == code
        assert says in data.json()["error"]


def test_an_empty_lake_has_pages_too(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with Catalog.create_or_open(Lake(tmp_path / "lake")) as catalog, LiveLake(catalog.lake, ModelFunctions) as live:
        client = TestClient(application(live, title="Empty"), base_url="http://127.0.0.1")
        for place in ("/", "/documents", "/drift", "/compare", "/runs", "/rejects", "/sql"):
            assert client.get(place).status_code == 200, place
        assert "No transitions were scored with NSP." in client.get("/").text
        assert client.get("/word?w=bank").status_code == 404
