"""A small lake with texts and names that mean harm, and its explorer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from polyseme.flows.explorer.app import application
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.security import LOOPBACK
from polyseme.storage.lake import Lake
from polyseme.storage.records import Document
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes

ATTACKS = {
    "script": "<script>alert('bank')</script>",
    "attribute": '" autofocus onfocus=alert(1) x="',
    "end-of-data": "</script><script>alert(2)</script><!-- {{ 7 * 7 }} {% raw %}",
    "direction": "safe \u202egnp.exe\u2066 bank",
    "lines": "one\r\nSet-Cookie: stolen=1\r\n\r\n<b>bank</b>",
    "sql": "'; DROP VIEW documents; SELECT '",
}
"""What a title, an id and a text may hold. No page may obey any of it."""
BASE = "http://127.0.0.1:8787"


def hostile(name: str, attack: str) -> Document:
    return Document(
        doc_id=f"{name} {attack}",
        uri=f"file:///{name}.txt",
        title=f"About {attack}",
        text=f"The bank of {attack} was here. It was not seen again. Nobody asked {attack} about it.",
        metadata='{"n": 9, "kind": "<img src=x onerror=alert(3)>"}',
    )


@pytest.fixture(scope="session")
def shown_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Six plain documents, and one of each attack."""
    attacks = [hostile(name, attack) for name, attack in ATTACKS.items()]
    return embedded_lakes.make(tmp_path_factory.mktemp("shown") / "lake", [*embedded_lakes.documents(), *attacks])


@pytest.fixture(scope="session")
def live(shown_lake: Lake) -> Iterator[LiveLake]:
    with LiveLake(shown_lake, ModelFunctions, timeout=300) as opened:
        yield opened


@pytest.fixture(scope="session")
def explorer(live: LiveLake) -> TestClient:
    """A client of the explorer, as a browser on this machine reaches it."""
    return TestClient(application(live, title="Lake shown", names=LOOPBACK), base_url=BASE)
