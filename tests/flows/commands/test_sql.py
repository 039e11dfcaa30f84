"""`polyseme sql` and `polyseme search`: the real commands on a small real lake."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polyseme.flows.cli import main
from polyseme.storage.lake import Lake
from tests import embedded_lakes, processes

POLYSEME = [sys.executable, "-m", "polyseme"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return embedded_lakes.make(tmp_path_factory.mktemp("lake"), embedded_lakes.documents())


def polyseme(capfd: pytest.CaptureFixture[str], made: Lake, *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*(str(word) for word in words), "--lake", str(made.root)])
    out, err = capfd.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def test_sql_from_a_file_and_from_standard_input(
    capfd: pytest.CaptureFixture[str], made: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "q.sql"
    file.write_text("CREATE TABLE t AS SELECT 'é' AS a; FROM t; SELECT 2 AS b", "utf-8")
    assert polyseme(capfd, made, "sql", "-f", file, "--format", "jsonl")[:2] == (0, '{"a":"é"}\n{"b":2}\n')
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 3 AS c"))
    assert polyseme(capfd, made, "sql", "--format", "csv")[:2] == (0, "c\n3\n")


def test_a_status_without_runs_is_not_an_error(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    code, out, err = polyseme(capfd, made, "status", "--runs", "0")
    assert (code, err) == (0, "")
    assert "Last runs\n  None.\n" in out


def test_sums_are_numbers_in_json(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    sql = "SELECT sum(n) AS s, 1.50::DECIMAL(4, 2) AS d, 10::HUGEINT ** 20 AS e FROM range(4) AS r(n)"
    code, out, _ = polyseme(capfd, made, "sql", sql, "--format", "jsonl")
    assert (code, json.loads(out)["s"], json.loads(out)["d"]) == (0, 6, 1.5)
    assert '"s":6,"d":1.50,' in out


def test_every_format_holds_the_same_rows(capfdbinary: pytest.CaptureFixture[bytes], made: Lake) -> None:
    sql = "SELECT doc_id, embedding FROM sentences ORDER BY ALL LIMIT 2"

    def written(form: str) -> bytes:
        with pytest.raises(SystemExit) as exit_:
            main(["sql", sql, "--lake", str(made.root), "--format", form])
        assert exit_.value.code == 0
        return capfdbinary.readouterr().out

    plain = json.loads(written("json"))
    assert [json.loads(line) for line in written("jsonl").splitlines()] == plain
    assert pq.read_table(io.BytesIO(written("parquet"))).to_pylist() == plain
    assert len(plain[0]["embedding"]) == 384
    assert "… 384]" in written("table").decode()
    assert written("csv").decode().count("\n") == 3


def test_a_parquet_file_holds_one_table(capfdbinary: pytest.CaptureFixture[bytes], made: Lake) -> None:
    def run(sql: str) -> tuple[object, bytes, bytes]:
        with pytest.raises(SystemExit) as exit_:
            main(["sql", sql, "--lake", str(made.root), "--format", "parquet"])
        return exit_.value.code, *capfdbinary.readouterr()

    code, out, err = run("SELECT 1 AS a; SELECT 2 AS b")
    assert code == 2
    assert b"one table" in err
    assert pq.read_table(io.BytesIO(out)).to_pylist() == [{"a": 1}]
    code, out, _ = run("CREATE TABLE t AS SELECT 1 AS a; FROM t")
    assert (code, pq.read_table(io.BytesIO(out)).to_pylist()) == (0, [{"a": 1}])


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["sql", "FROM nonsense"], 1, "nonsense"),
        (["sql", "COPY sentences TO 'x'"], 2, "COPY is not allowed"),
        (["sql", "FROM read_text('/etc/passwd')"], 1, "disabled"),
        (["sql", "FROM fill_mask('none')"], 2, "There is no"),
        (["sql", "SELECT embed('x')", "--model", "no/../where"], 5, "--model"),
        (["sql", " "], 2, "no SQL"),
        (["sql", "SELECT 1", "--timeout", "0"], 2, "above 0"),
        (["sql", "SELECT count(*) FROM range(1000000000000) a", "--timeout", "0.3"], 1, "No answer within 0.3 seconds"),
        (["sql", "FROM range(1000000000000)", "--format", "csv", "--timeout", "0.3"], 1, "No answer within 0.3"),
        (["search", "x", "-k", "0"], 2, "at least 1"),
        (["search", "x", "--exact", "--mode", "text"], 2, "Leave --mode out"),
        (["search", "A heron.", "--word", "bank"], 2, "not a word of the text"),
        (["search", "x", "--where", "bogus = 1"], 2, "bogus is no column of documents"),
    ],
)
def test_an_error_is_one_paragraph(
    capfd: pytest.CaptureFixture[str], made: Lake, words: list[str], code: int, message: str
) -> None:
    done, _, err = polyseme(capfd, made, *words)
    assert done == code
    assert message in err
    assert "Traceback" not in err


def test_ctrl_c_stops_a_query_that_duckdb_is_busy_with(made: Lake) -> None:
    sql = "SELECT 'begun'; SELECT count(*) FROM range(100000000000000) a"
    command = [*POLYSEME, "sql", sql, "--lake", made.root, "--format", "csv"]
    with processes.started(*command, stdout=processes.PIPE) as running:
        assert running.stdout is not None
        assert "begun" in running.stdout.readline() + running.stdout.readline()
        before = processes.cpu_seconds(running)
        processes.wait_until(lambda: processes.cpu_seconds(running) > before + 1, "DuckDB is at work")
        running.send_signal(signal.SIGINT)
        assert running.wait(processes.DEADLINE_SECONDS) == 130


def test_search_shows_the_nearest_sentences_with_their_neighbours(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    code, out, _ = polyseme(capfd, made, "search", "The bank refused to give her a loan.", "-k", "2", "--json")
    first, second = json.loads(out)
    assert (code, first["doc_id"], first["uri"]) == (0, "loan", "file:///loan.txt")
    assert first["similarity"] >= second["similarity"]
    assert first["text_before"] or first["text_after"]
    assert "»" in polyseme(capfd, made, "search", "a loan")[1]
    assert polyseme(capfd, made, "search", "a loan", "--exact")[1] == polyseme(capfd, made, "search", "a loan")[1]


def test_a_name_that_is_too_long_for_the_file_system_is_a_usage_error(
    capfd: pytest.CaptureFixture[str], made: Lake
) -> None:
    code, _, err = polyseme(capfd, made, "sql", "SELECT 1", "--write", "x" * 300)
    assert code == 2
    assert "too long a name" in err


def test_search_keeps_to_the_selected_documents(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    where = "metadata->>'n' IN ('0', '1') -- the first two"
    found = json.loads(polyseme(capfd, made, "search", "gold in a vault", "--where", where, "--json")[1])
    assert {hit["doc_id"] for hit in found} == {"river", "canal"}
    assert polyseme(capfd, made, "search", "x", "--where", "false")[1] == "Nothing found.\n"


def test_search_by_a_word_in_its_context_finds_the_same_sense(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    words = ("--word", "bank", "-k", "4", "--json")
    wet = json.loads(polyseme(capfd, made, "search", "Ducks sat on the bank of the stream.", *words)[1])
    dry = json.loads(polyseme(capfd, made, "search", "He opened an account at the bank.", *words)[1])
    assert {hit["doc_id"] for hit in wet} <= {"river", "canal", "brook"}
    assert {hit["doc_id"] for hit in dry} <= {"money", "loan", "safe"}
    assert all(hit["text"][hit["word_start"] : hit["word_end"]] == "bank" for hit in wet)


def test_search_over_all_words_finds_words_of_like_meaning(capfd: pytest.CaptureFixture[str], made: Lake) -> None:
    found = json.loads(
        polyseme(
            capfd, made, "search", "We walked along the stream.", "--word", "stream", "--words", "-k", "3", "--json"
        )[1]
    )
    assert {hit["word"].lower() for hit in found} & {"river", "brook", "canal", "water"}
