"""The SQL shell: a statement ends with a semicolon, results follow the lake, errors do not end the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from polyseme.flows.display.prompt import SqlCompleter, is_complete, prompt_session
from polyseme.flows.display.shell import Session
from polyseme.storage.errors import PolysemeError, UsageError
from polyseme.storage.lake import Lake
from polyseme.tasks.sql.functions import ModelFunctions
from tests import embedded_lakes
from tests.processes import DEADLINE_SECONDS


@pytest.fixture
def made(tmp_path: Path) -> Lake:
    return embedded_lakes.make(tmp_path / "lake", embedded_lakes.documents({"one": "The bank. It is closed."}))


@pytest.fixture
def session(made: Lake) -> Iterator[Session]:
    with Session(made, ModelFunctions(), format="csv", timeout=DEADLINE_SECONDS) as opened:
        yield opened


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT 1; -- done", "\\d", "", "SELECT 'é';", "SELECT 1;  \n"])
def test_these_run_at_once(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT ';'", "SELECT 'a;", "SELECT 1 -- ;", "/* ; */"])
def test_these_go_on_on_the_next_line(text: str) -> None:
    assert not is_complete(text)


def test_enter_goes_on_until_the_statement_is_complete(session: Session) -> None:
    with create_pipe_input() as keyboard:
        prompt = prompt_session(session.completer, InMemoryHistory(), input=keyboard, output=DummyOutput())
        keyboard.send_text("SELECT 1\r AS a;\r")
        assert prompt.prompt() == "SELECT 1\n AS a;"


def test_tab_completes_views_and_macros_after_from_and_columns_elsewhere(session: Session) -> None:
    def offered(text: str) -> set[str]:
        return {c.text for c in session.completer.get_completions(Document(text), CompleteEvent())}

    assert {"sentences", "sentences_polyseme_mini"} == offered("SELECT * FROM sent")
    assert {"occurrences("} <= offered("from occ")
    assert {"nearest(", "nearest_to("} <= offered("FROM nea")
    assert {"embed(", "embedding", "embed_word("} <= offered("SELECT emb")
    assert {"\\d", "\\q", "\\?"} <= offered("\\")
    assert isinstance(session.completer, SqlCompleter)


def test_results_go_to_stdout(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    assert session.answer("SELECT count(*) AS n FROM sentences;")
    assert capfd.readouterr().out == "n\n2\n"


def test_the_lake_may_grow_between_two_queries(session: Session, made: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    session.answer("SELECT count(*) AS n FROM documents;")
    embedded_lakes.make(made.root, embedded_lakes.documents({"two": "A heron."}), run_id="two")
    session.answer("SELECT count(*) AS n FROM documents;")
    session.answer("SELECT count(*) AS n FROM nearest('A heron.', k := 1) WHERE doc_id = 'two';")
    assert capfd.readouterr().out == "n\n1\nn\n2\nn\n1\n"


def test_tables_made_in_the_session_outlive_a_change_of_the_lake(
    session: Session, made: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    session.answer("CREATE TABLE mine AS SELECT 7 AS n;")
    embedded_lakes.make(made.root, embedded_lakes.documents({"two": "A heron."}), run_id="two")
    session.answer("FROM mine;")
    assert capfd.readouterr().out == "n\n7\n"


def test_an_error_is_raised_and_the_session_goes_on(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PolysemeError, match="nonsense"):
        session.answer("FROM nonsense;")
    with pytest.raises(UsageError, match="COPY is not allowed"):
        session.answer("COPY sentences TO 'x';")
    with pytest.raises(UsageError, match="no command"):
        session.answer("\\bogus")
    session.answer("SELECT 1 AS a;")
    assert capfd.readouterr().out == "a\n1\n"


def test_a_query_that_takes_too_long_is_stopped_and_the_next_one_runs(
    made: Lake, capfd: pytest.CaptureFixture[str]
) -> None:
    with Session(made, ModelFunctions(), format="csv", timeout=0.5) as session:
        with pytest.raises(PolysemeError, match=r"No answer within 0\.5 seconds"):
            session.answer("SELECT count(*) FROM range(1000000000000) a;")
        session._timeout = DEADLINE_SECONDS  # a busy machine may need half a second for anything
        session.answer("SELECT 1 AS a;")
    assert capfd.readouterr().out == "a\n1\n"


def test_commands_describe_the_lake_and_change_the_format(session: Session, capfd: pytest.CaptureFixture[str]) -> None:
    session.answer("\\d rejects")
    assert "excerpt" in capfd.readouterr().out
    session.answer("\\d")
    assert "sentences,one sentence with its vector" in capfd.readouterr().out
    session.answer("\\d sentences")
    assert 'pll,float,pseudo-log-likelihood; NULL without embed --pll,"nats, 0 and below"' in capfd.readouterr().out
    with pytest.raises(PolysemeError, match=r"no view sentnces\. Did you mean sentences\?"):
        session.answer("\\d sentnces")
    session.answer("\\f jsonl")
    session.answer("SELECT 1 AS a;")
    assert capfd.readouterr().out == '{"a":1}\n'
    with pytest.raises(UsageError, match="one of table"):
        session.answer("\\f parquet")
    session.answer("\\?")
    assert "fill_mask(text" in capfd.readouterr().out
    assert not session.answer("\\q")
    assert not session.answer("exit")


def test_a_function_is_explained_with_an_example_duckdbs_own_too(
    session: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    session.answer("\\df")
    assert "wordpiece(text)" in capfd.readouterr().out
    session.answer("\\df nearest_polyseme_mini")
    shown = capfd.readouterr().out
    assert "nearest_polyseme_mini(text, k := 10" in shown
    assert "Example: FROM nearest_polyseme_mini(" in shown
    session.answer("\\df array_distance")
    assert "(DuckDB's)" in capfd.readouterr().out
    with pytest.raises(UsageError, match="Did you mean nearest"):
        session.answer("\\df neerest")


def test_records_are_turned_on_their_side_if_the_user_says_so(made: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    with Session(made, ModelFunctions(), format="table", timeout=DEADLINE_SECONDS) as session:
        session.answer("\\x")
        session.answer("SELECT 1 AS a, 'two' AS b;")
        assert capfd.readouterr().out.splitlines()[1:] == ["a │ 1", "b │ two"]
        session.answer("\\x off")
        session.answer("SELECT 1 AS a;")
        assert "┌" in capfd.readouterr().out
        with pytest.raises(UsageError, match="one of auto, on, off"):
            session.answer("\\x sideways")


def test_an_error_in_a_statement_marks_the_place_and_names_what_is_near(session: Session) -> None:
    with pytest.raises(PolysemeError) as caught:
        session.answer("SELECT txt\nFROM sentences;")
    assert str(caught.value) == (
        "txt is no column of sentences. The nearest is text.\n\nLINE 1: SELECT txt\n               ^^^"
    )
    with pytest.raises(PolysemeError) as caught:
        session.answer("SELECT 1 +\nFROM sentences;")
    assert str(caught.value).startswith("Parser Error:")
