"""Corpora: configured once in polyseme.toml, and refused with what to change if the file makes no sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from polyseme.flows.runs.runners import Runner
from polyseme.flows.server.corpora import chosen, configured, lakes_configured, makers, names_configured
from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.engine import shared_engine
from polyseme.tasks.reading.patterns import Patterns
from tests.tasks.test_engine_families import saved


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "news").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(home: Path, text: str) -> None:
    (home / "polyseme.toml").write_text(text, encoding="utf-8")


def test_paths_are_relative_to_the_file_wherever_the_command_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, 'lake = "store"\n[corpus.news]\nsources = ["news", "/data/*.jsonl"]\n')
    (home / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(home / "deep" / "er")
    (corpus,) = chosen()
    assert corpus.sources == [str(home / "news"), "/data/*.jsonl"]
    assert corpus.lake == str(home / "store")


def test_a_corpus_takes_every_option_of_embed(home: Path) -> None:
    configure(
        home,
        '[corpus.news]\nsources = ["news"]\nlake = "x"\ncontext = "pair"\nwords = ["Bank", " Supreme  COURT", "Fuß"]\n'
        'include = ["*.md"]\nexclude = ["build/"]\nmarkdown = "all"\n'
        'nsp = true\ntext_field = "body"\ndelete = false\n[corpus.two]\nsources = ["news"]\nlevel = "sentences"\n',
    )
    found = configured()
    assert list(found) == ["news", "two"]
    news = found["news"]
    assert (news.engine.context, news.outputs.words, news.reading.text_field) == (
        "pair",
        frozenset({"bank", "supreme court", "fuss"}),
        "body",
    )
    assert not news.delete
    assert (news.patterns, news.engine.markdown) == (Patterns(("*.md",), ("build/",)), "all")
    assert news.resolved()[0].patterns == news.request().patterns == news.patterns
    assert found["two"].outputs.level == "sentences"


def test_the_layers_of_a_corpus_may_be_a_number(home: Path) -> None:
    configure(
        home, '[corpus.news]\nsources = ["news"]\nlayers = 5\n[corpus.b]\nsources = ["news"]\nlayers = "mean:3-6"\n'
    )
    found = configured()
    assert (found["news"].engine.layers, found["b"].engine.layers) == ("5", "mean:3-6")


def test_a_corpus_has_a_runner_of_its_own(home: Path) -> None:
    configure(
        home,
        '[corpus.news]\nsources = ["news"]\nrunner = "dask"\nrunner_address = "tcp://host:8786"\n'
        '[corpus.two]\nsources = ["news"]\nrunner = "ray"\nrunner_workers = 3\n[corpus.b]\nsources = ["news"]\n',
    )
    found = configured()
    assert found["news"].runner == Runner(kind="dask", address="tcp://host:8786")
    assert (found["two"].runner, found["b"].runner) == (Runner(kind="ray", workers=3), Runner())


def test_a_model_folder_is_found_from_the_file(home: Path) -> None:
    (home / "models").mkdir()
    configure(
        home, '[corpus.news]\nsources = ["news"]\nmodel = "models"\n[corpus.b]\nsources = ["news"]\nmodel = "a/b"'
    )
    found = configured()
    assert (found["news"].engine.model, found["b"].engine.model) == (str(home / "models"), "a/b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[corpus.news]\nsources = ["news"]\nlevle = "words"', "no option levle"),
        ('[corpus.news]\nsources = ["news"]\nlevel = "letters"', "level.*letters"),
        ('[corpus.news]\nsources = ["news"]\nlayers = "first"', "--layers takes last, last4"),
        ('[corpus.news]\nsources = ["news"]\nlayers = true', "layers: .*string, got True"),
        ('[corpus.news]\nsources = ["news"]\ncontext = "pair"\npooling = "cls"', "pooling cls needs"),
        ("[corpus.news]\nsources = []", "needs sources"),
        ('[corpus.news]\nsources = ["news"]\nexclude = ["*a*b*c*d"]', "--exclude .*wildcards"),
        ('[corpus.news]\nsources = ["news"]\ninclude = "*.md"', "include: .*tuple"),
        ('[corpus.news]\nsources = ["news"]\nrunner = "spark"', "runner: .*spark"),
        ('[corpus.news]\nsources = ["news"]\nrunner_workers = 2', "belong to a cluster"),
        ('[corpus.news]\nsources = ["-"]', "needs sources"),
        ('[corpus."New York"]\nsources = ["news"]', "small letters"),
        ('corpus = "news"', "a corpus is a table"),
        ("[corpus.news\n", "cannot be read"),
        ("", "No corpus is configured"),
    ],
)
def test_what_makes_no_sense_is_refused(home: Path, text: str, message: str) -> None:
    configure(home, text)
    with pytest.raises(UsageError, match=message):
        chosen()


def test_a_name_that_is_not_configured_is_refused_with_those_that_are(home: Path) -> None:
    configure(home, '[corpus.news]\nsources = ["news"]\n')
    with pytest.raises(UsageError, match=r"no \[corpus.olds\].*Configured: news"):
        chosen(["olds"])


def test_a_mistake_in_one_table_is_that_corpus_alone(home: Path) -> None:
    configure(
        home,
        '[corpus.bad]\nsources = ["news"]\nlake = "b"\nlevle = "words"\n'
        '[corpus.good]\nsources = ["news"]\nlake = "g"\n',
    )
    assert [corpus.name for corpus in chosen(["good"])] == ["good"]
    assert names_configured() == ["bad", "good"]
    assert lakes_configured() == {str(home / "g"): None}
    makers_of = makers()
    assert makers_of["good"]().lake == str(home / "g")
    with pytest.raises(UsageError, match="no option levle"):
        makers_of["bad"]()
    with pytest.raises(UsageError, match="no option levle"):
        chosen()


def test_a_lake_inside_its_own_source_is_refused(home: Path) -> None:
    configure(home, '[corpus.news]\nsources = ["."]\n')
    (corpus,) = chosen()
    with pytest.raises(UsageError, match="lies inside the source"):
        corpus.resolved()


def test_a_lake_and_its_catalog_are_named_once_for_corpora_and_commands(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polyseme.flows.cli import app
    from polyseme.flows.commands.options.lake import LakeOptions

    configure(
        home,
        'lake = "store"\ncatalog = "sqlite:////all.sqlite"\n[status]\nruns = 3\n[rejects]\nlake = "mine"\n'
        '[corpus.a]\nsources = ["news"]\n[corpus.b]\nsources = ["news"]\nlake = "other"\n',
    )
    (home / "deep").mkdir()
    monkeypatch.chdir(home / "deep")
    found = configured()
    assert (found["a"].lake, found["a"].catalog) == (str(home / "store"), "sqlite:////all.sqlite")
    assert (found["b"].lake, found["b"].catalog) == (str(home / "other"), None)

    def bound(*words: str) -> dict[str, Any]:
        _, arguments, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        return dict(arguments.arguments)

    shared = LakeOptions(root=str(home / "store"), catalog="sqlite:////all.sqlite")
    assert bound("status") == {"lake": shared, "runs": 3}
    assert bound("rejects")["lake"] == replace(shared, root="mine")
    assert bound("status", "--lake", "x")["lake"] == replace(shared, root="x")
    assert bound("tokens", "a text") == {"text": "a text"}
    monkeypatch.setenv("POLYSEME_LAKE", "y")
    assert bound("status")["lake"] == replace(shared, root="y")


def test_the_options_of_commands_stand_beside_the_corpora(home: Path) -> None:
    from polyseme.flows.cli import app

    configure(home, '[status]\nruns = 3\n[corpus.news]\nsources = ["news"]\n')
    _, bound, _ = app.parse_args(["status"], exit_on_error=False, print_error=False)
    assert bound.arguments["runs"] == 3


def test_a_corpus_is_scored_by_default_if_its_model_has_a_head_for_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(home / "model", "roberta")
    tables = {"default": "", "asked": "nsp = true\n", "refused": "nsp = false\n"}
    usual = 'sources = ["news"]\nmodel = "model"\ndevice = "cpu"\n'
    configure(
        home,
        "".join(f"[corpus.{name}]\n{usual}{nsp}" for name, nsp in tables.items())
        + '[corpus.mini]\nsources = ["news"]\n',
    )
    corpora = configured()
    assert {name: corpora[name].request().outputs.nsp for name in corpora} == {
        "default": False, "asked": True, "refused": False, "mini": True,
    }  # fmt: skip
    corpora["default"].request()
    assert capsys.readouterr().err.count("steps between sentences are not scored") == 1
    request = corpora["asked"].request()
    with pytest.raises(ModelError, match=r"model has no NSP head.*nsp = false"):
        shared_engine(request.engine).check(request.outputs)
