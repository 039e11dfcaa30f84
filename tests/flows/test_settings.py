"""Settings: `polyseme.toml` with a byte order mark or a mistake, proxies, and sources as parameters."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.flows.cli import app
from polyseme.flows.commands.options.reading import as_parameters
from polyseme.flows.runs.job import EmbedRequest
from polyseme.flows.runs.recorded_request import recorded
from polyseme.flows.settings import _may_name_a_server, prepare_prefect, read_config_file
from polyseme.storage.errors import UsageError
from tests import processes
from tests.repository import ROOT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_configuration_may_begin_with_a_byte_order_mark(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "polyseme.toml").write_bytes(b'\xef\xbb\xbflake = "some/lake"\n[tokens]\njson = true\n')
    assert read_config_file()[1]["lake"] == "some/lake"
    app(["tokens", "a bank"])
    assert capsys.readouterr().out.startswith("[")


@pytest.mark.parametrize("content", [b"\nlake = \n", 'lake = "l"'.encode("utf-16"), b"\xff", b"a" * 100_000])
def test_a_mistake_in_the_configuration_names_its_file(here: Path, content: bytes) -> None:
    (here / "polyseme.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"polyseme\.toml cannot be read"):
        app(["tokens", "a bank"])


def test_a_mistake_in_the_configuration_names_its_line(here: Path) -> None:
    (here / "polyseme.toml").write_text('lake = "l"\nlevel = \n')
    with pytest.raises(UsageError, match="line 2"):
        app(["tokens", "a bank"])


def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "example.org"})
    prepare_prefect(verbose=False)
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1,localhost"


def test_a_path_that_is_not_utf8_is_passed_to_prefect_as_an_address(here: Path) -> None:
    assert as_parameters(["a.txt", "-"]) == ["a.txt", "-"]
    assert as_parameters([os.fsdecode(b"caf\xe9.txt")]) == [f"{here.as_uri()}/caf%E9.txt"]


def test_more_sources_than_prefect_stores_are_recorded_by_the_first_and_a_digest(here: Path) -> None:
    few = EmbedRequest(sources=["a.txt", "b.txt"], lake="lake")
    assert recorded(few) is few
    sources = [f"a-collection-of-short-notes/parish-register-transcript-{i}.txt" for i in range(8_000)]
    asked = [replace(few, sources=chosen) for chosen in (sources, [*sources[:-1], "another.txt"])]
    kept, other = (recorded(request) for request in asked)
    assert kept.sources[:20] == sources[:20]
    assert kept.sources[20].startswith("… and 7,980 more; SHA-256")
    assert len(kept.sources) == 21
    assert kept.sources[20] != other.sources[20]
    assert replace(kept, sources=sources) == asked[0]


_IS_STANDING = (
    "import sys; from polyseme.flows.settings import has_standing_server; "
    "print(has_standing_server(), 'prefect' in sys.modules)"
)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("pyproject.toml", '[project]\ndependencies = ["prefect"]\n', ["False", "False"]),
        (".env", "PREFECT_API_URL=http://127.0.0.1:4200/api\n", ["True", "True"]),
        ("prefect.toml", '[api]\nurl = "http://127.0.0.1:4200/api"\n', ["True", "True"]),
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://127.0.0.1:4200/api"\n', ["True", "True"]),
        (
            "home/profiles.toml",
            'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n',
            ["True", "True"],
        ),
        ("home/profiles.toml", 'active = "ephemeral"\n[profiles.ephemeral]\n', ["False", "False"]),
    ],
)
@pytest.mark.slow
def test_a_standing_server_is_found_wherever_prefect_reads_its_address(
    here: Path, file: str, content: str, expected: list[str]
) -> None:
    (here / "home").mkdir()
    (here / file).write_text(content)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    more = {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(here / "home")}
    done = processes.run(sys.executable, "-c", _IS_STANDING, env=plain | more, cwd=here)
    assert done.stdout.split() == expected


def test_what_needs_a_server_is_refused_without_prefect_if_none_is_configured(here: Path) -> None:
    asked = (
        "import sys\nfrom polyseme.flows.settings import require_server\n"
        "try:\n    require_server()\nexcept Exception as error:\n    print('prefect' in sys.modules, error)"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    more = {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(here / "home")}
    done = processes.run(sys.executable, "-c", asked, env=plain | more, cwd=here)
    assert done.stdout.startswith("False No Prefect server is configured.")


def test_folders_with_the_names_of_prefects_files_name_no_server(here: Path) -> None:
    (here / ".env" / "bin").mkdir(parents=True)
    (here / "home").write_text("a file")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    more = {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(here / "home")}
    done = processes.run(sys.executable, "-c", _IS_STANDING, env=plain | more, cwd=here)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_a_user_without_a_home_directory_has_no_profile_that_names_a_server(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name == "HOME" or name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)
    with pytest.raises(RuntimeError, match="home directory"):
        Path.home()
    assert not _may_name_a_server()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PREFECT_API_URL", "prefect_api_url"])
def test_a_standing_server_of_the_environment_is_found(here: Path, name: str) -> None:
    more = {"PYTHONPATH": str(ROOT), name: "http://127.0.0.1:4200/api"}
    done = processes.run(sys.executable, "-c", _IS_STANDING, env=os.environ | more, cwd=here)
    assert done.stdout.split() == ["True", "True"]
