"""Who may ask the explorer, and that nothing in a lake or an address is obeyed."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from tests.flows.explorer.conftest import ATTACKS, BASE
from tests.flows.explorer.reading import assert_harmless

FOREIGN = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"}
LED_HERE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "localhost.", "[::2]"]
)
def test_another_name_is_refused(explorer: TestClient, host: str) -> None:
    """A page whose name was made to point at this machine (DNS rebinding) asks under its own name."""
    answer = explorer.get("/documents.json", headers={"Host": host})
    assert answer.status_code == 421
    assert "river" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]:8787", "[::1]"])
def test_the_names_of_this_machine_are_answered(explorer: TestClient, host: str) -> None:
    assert explorer.get("/runs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_other_sites_get_no_data(explorer: TestClient, site: str) -> None:
    for place in ("/documents.json", "/sql.csv?q=FROM+documents", "/", "/static/explorer.js"):
        assert explorer.get(place, headers=FOREIGN | {"Sec-Fetch-Site": site}).status_code == 403
    for place in ("/documents.json", "/sql.csv?q=FROM+documents"):
        assert explorer.get(place, headers=LED_HERE | {"Sec-Fetch-Site": site}).status_code == 403


def test_a_link_on_another_site_shows_sql_and_does_not_run_it(explorer: TestClient) -> None:
    for query in ("q=SELECT+42+AS+answer", "run=1&q=SELECT+42+AS+answer"):
        answer = explorer.get(f"/sql?{query}", headers=LED_HERE)
        assert answer.status_code == 200
        assert "was not run" in answer.text
        assert "<td" not in answer.text
    assert "<td" in explorer.get("/sql?q=SELECT+42+AS+answer", headers={"Sec-Fetch-Site": "same-origin"}).text


def test_only_reading_is_possible(explorer: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert explorer.request(method, "/sql?q=SELECT+1").status_code == 405


def test_every_answer_says_what_a_browser_may_do(explorer: TestClient) -> None:
    for place in ("/", "/documents.json", "/nowhere", "/static/explorer.css", "/word?w=zyzzyva"):
        headers = explorer.get(place).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("place", [
    "/word?w={}", "/document?id={}", "/sense?w={}", "/sentence?doc={}", "/documents?q={}", "/documents?where={}",
    "/documents?m.kind={}", "/documents?m.{}=1", "/sql?q={}", "/rejects?code={}", "/word?w=bank&by={}",
    "/documents?sort={}", "/word.csv?w=bank&table={}", "/{}", "/drift?w={}", "/drift?w=bank&by={}",
    "/compare?a={}", "/compare?a=true&b={}", "/compare?encoding={0}&other={0}", "/map?of=words&w={}",
])  # fmt: skip
def test_no_parameter_is_obeyed(explorer: TestClient, place: str, attack: str) -> None:
    answer = explorer.get(place.format(quote(attack)))
    assert answer.status_code in (200, 400, 404, 500)
    assert "set-cookie" not in answer.headers
    if "html" in answer.headers["content-type"]:
        assert_harmless(answer.text)
    assert explorer.get("/documents").status_code == 200


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_document_is_shown_as_it_is(explorer: TestClient, name: str) -> None:
    (found,) = [d for d in explorer.get("/documents.json").json()["documents"] if d["uri"] == f"file:///{name}.txt"]
    for place in (f"/document?id={quote(found['doc_id'])}", f"/sentence?doc={quote(found['doc_id'])}&i=0"):
        answer = explorer.get(place)
        assert answer.status_code == 200
        page = assert_harmless(answer.text)
        assert "was here" in page.text


def test_static_files_do_not_lead_elsewhere(explorer: TestClient) -> None:
    for place in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/",
    ):
        assert explorer.get(place).status_code == 404


def test_an_answer_to_what_nobody_foresaw_says_it_too(live: LiveLake, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*given: object, **named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(live, "ask", breaks)
    explorer = TestClient(application(live, title="Lake"), base_url=BASE, raise_server_exceptions=False)
    answer = explorer.get("/documents")
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-cache"


def test_with_a_token_only_who_has_it_may_look(live: LiveLake) -> None:
    def client() -> TestClient:
        return TestClient(application(live, title="Lake", token="secret-token"), base_url=BASE)

    stranger = client()
    for place in ("/", "/documents.json", "/static/explorer.js", "/?token=guess", "/?token=", "/nowhere"):
        assert stranger.get(place).status_code == 401
    stranger.cookies.set("polyseme-explorer", "guess")
    assert stranger.get("/").status_code == 401
    guest = client()
    led = guest.get("/word?w=bank&token=secret-token", follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, "/word?w=bank")
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in led.headers["set-cookie"].split(";")}
    assert guest.get("/word?w=bank").status_code == 200
    elsewhere = client().get(f"{BASE}//evil.example/?token=secret-token", follow_redirects=False)
    assert elsewhere.headers["location"] == "/evil.example/"


@pytest.mark.parametrize(
    "other", ["a/b=1", "a,b=1", "expires=x", '{"a":1}', "flag", 'x="y z', "n=[1, 2]", "=1", "a[b]=1"]
)
def test_cookies_of_other_servers_on_the_same_host_keep_nobody_out(live: LiveLake, other: str) -> None:
    client = TestClient(application(live, title="Lake", token="t"), base_url=BASE)
    for cookies in (f"{other}; polyseme-explorer=t", f"polyseme-explorer=t; {other}"):
        assert client.get("/static/explorer.js", headers={"Cookie": cookies}).status_code == 200
    assert client.get("/static/explorer.js", headers={"Cookie": other}).status_code == 401


def test_pages_that_other_machines_reach_have_no_names_to_refuse(live: LiveLake) -> None:
    client = TestClient(application(live, title="Lake", token="t"), base_url="http://192.168.1.5:9000")
    assert client.get("/?token=t").status_code == 200
