"""The observation of a run: nothing that an observer, its settings or its package do can fail the run."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from polyseme.flows.observation.facts import RunEnded
from polyseme.flows.observation.observation import Observation, observe
from polyseme.storage.records import Shard, ShardResult
from tests import processes
from tests.flows.observation.conftest import END, RESULT, RUN, SHARD
from tests.repository import ROOT


class Observer:
    """Keeps the names of the calls, and raises in one of them."""

    def __init__(self, raises: str = "", *, delivered: bool = True) -> None:
        self.raises, self.delivered, self.calls = raises, delivered, list[str]()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.raises:
            raise OSError("http://somebody:password@host refused")

    def submitted(self, shard: Shard) -> None:
        self._call("submitted")

    def committed(self, result: ShardResult) -> None:
        self._call("committed")

    def failed(self, shard: Shard) -> None:
        self._call("failed")

    def scanned(self, seconds: float) -> None:
        self._call("scanned")

    def published(self, seconds: float) -> None:
        self._call("published")

    def ended(self, end: RunEnded) -> None:
        self._call("ended")

    def close(self, seconds: float) -> bool:
        self._call("close")
        return self.delivered


CALLS = ["submitted", "committed", "failed", "scanned", "published", "ended", "close"]


def tell(observation: Observation) -> None:
    observation.submitted(SHARD)
    observation.committed(RESULT)
    observation.failed(SHARD)
    observation.scanned(1.0)
    with observation.publishing():
        pass
    observation.ended(END)


@pytest.mark.parametrize("call", CALLS)
def test_an_observer_that_raises_is_told_nothing_more_and_the_other_everything(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = Observer(call), Observer()
    with caplog.at_level(logging.WARNING):
        tell(Observation({"one": broken, "another": sound}))
    assert broken.calls == CALLS[: CALLS.index(call) + 1]
    assert sound.calls == CALLS
    assert [record.message for record in caplog.records] == ["one is told nothing more about this run: OSError"]


def test_what_is_not_delivered_in_time_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tell(Observation({"one": Observer(delivered=False)}))
    assert "not everything was delivered within 5 s" in caplog.text


def test_an_error_inside_the_publication_is_the_run_s_own() -> None:
    observer = Observer()
    with pytest.raises(ValueError, match="disk"), Observation({"one": observer}).publishing():
        raise ValueError("disk")
    assert observer.calls == ["published"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[openlineage]\nurll = 'http://x'\n", "[openlineage] takes namespace, job, url, file"),
        ("[opentelemetry]\nendpoint = 4318\n", "[opentelemetry] takes endpoint"),
        ("[openlineage]\nurl = 'http://a:secret@x'\n", "has a user, a password or a query in it"),
        ("openlineage = true\n", "[openlineage] takes"),
    ],
)
def test_a_wrong_setting_is_said_and_the_run_goes_on(text: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    Path("polyseme.toml").write_text(text)
    assert observe(RUN).observers == {}
    (warning,) = caplog.records
    assert said in warning.message
    assert "secret" not in warning.message


_WITHOUT_PACKAGES = """
import logging, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("openlineage", "opentelemetry")):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
logging.basicConfig(level="WARNING")
from polyseme.flows.observation.observation import observe
from tests.flows.observation.conftest import RUN
assert observe(RUN).observers == {}
"""


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    err = processes.run(sys.executable, "-c", _WITHOUT_PACKAGES, cwd=ROOT).stderr
    assert "pip install 'polyseme[openlineage]'" in err
    assert "pip install 'polyseme[otel]'" in err
