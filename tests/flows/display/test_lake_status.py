"""The status of a lake: one screen of 24 lines for a usual lake, no line wider than the terminal but commands."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polyseme.flows.display.columns import Column, aligned
from polyseme.flows.display.lake_status import screen
from polyseme.flows.display.quantities import count, duration, moment, size
from polyseme.flows.display.to_do import to_do
from polyseme.storage.records import HeldBack

NOW = datetime(2026, 11, 27, 17, tzinfo=UTC)


def encoding(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "default": name == "polyseme_mini", "encoding_id": name, "model": "polyseme-mini",
        "context": "sentence", "layers": "last", "precision": "fp32", "width": 384, "earlier_model": False,
        "splitter": "rules/1", "language": "en", "earlier_splitter": False, "store": "float16",
        "pooling": "mean", "dense": False, "normalize": False, "prompt": "", "query_prompt": "",
        "documents": 1204, "tokens": 1_203_441, "parts": 84, "bytes": 1_303_441_234, "sentence_rows": 48_210,
        "superseded": 0, "missing": 0, "outdated": 0, "damaged": 0,
    } | changes  # fmt: skip


def run(day: int, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": f"8c1f2b3d4e{day}", "encoding_id": "polyseme_mini", "state": "completed",
        "started_at": f"2026-11-{day}T02:00:04", "seen_at": "2026-11-27T16:59:20", "host": "worker-3",
        "seconds_wall": 754.2, "documents": 12, "skipped": 1_204_112, "deleted": 3, "rejected": 14, "tokens": 10_203,
        "reused_tokens": 8_000, "unknown_documents": 0, "tokens_per_second": 1203,
        "sources": ["/data/news"], "error": None,
    } | changes  # fmt: skip


def status(**changes: Any) -> dict[str, Any]:
    return {
        "lake": "/data/lakes/news", "encodings": [encoding("polyseme_mini"), encoding("bert", missing=12)],
        "runs": [run(day) for day in range(27, 22, -1)], "running": [],
        "rejects_by_code": {"no-text": 31, "bad-json": 7}, "skipped": [],
        "to_do": [{"what": "bert lacks 12 documents", "command": "polyseme backfill --encoding bert --lake lake"}],
    } | changes  # fmt: skip


def drawn(found: dict[str, Any], width: int = 100, *, wrap: bool = True) -> list[str]:
    return list(screen(found, now=NOW, width=width, wrap=wrap))


def test_what_a_checkpoint_says_of_its_sentence_vectors_has_a_line() -> None:
    own = encoding("e5", pooling="cls", dense=True, normalize=True, prompt="passage: ", query_prompt="query: ")
    german = encoding("wiki", language="de")
    verse = encoding("verse", splitter="lines/1")
    low = encoding("low", layers="mean:3-6", pooling="max")
    lines = drawn(status(encodings=[encoding("polyseme_mini"), own, german, verse, low]))
    assert "  low: layers mean:3-6, pooling max" in lines
    assert "  verse: sentences by lines/1" in lines
    assert "  e5: pooling cls, dense layers, vectors of length 1, prompt 'passage: ', query prompt 'query: '" in lines
    assert "  wiki: language de" in lines
    assert not any(line.startswith("  polyseme_mini:") for line in lines)
    assert max(map(len, drawn(status(encodings=[encoding("e5", prompt="long " * 90)])))) <= 100


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_usual_lake_fits_one_screen(width: int) -> None:
    lines = drawn(status(), width)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("Lake /data/lakes/news: 1,204 documents, 48,210 sentences, 1.2 M tokens")
    assert any(line.split()[:4] == ["8c1f2b3d4e27", "11-27", "02:00", "completed"] for line in lines)


def test_what_was_reused_is_shown_before_what_was_skipped() -> None:
    text = "\n".join(drawn(status(), 100))
    assert "reused" in text
    assert "8,000" in text
    older = [{name: value for name, value in run(27).items() if name != "reused_tokens"}]
    assert "reused" not in "\n".join(drawn(status(runs=older)))


def test_a_run_that_described_documents_anew_says_so() -> None:
    lines = drawn(status(runs=[run(27, documents=0, redescribed=5), run(26, redescribed=0)]))
    heading, last, older = next(lines[at : at + 3] for at, line in enumerate(lines) if "encoded" in line)
    place = heading.split().index("metadata")  # "from (UTC)" is two words, as are its dates
    assert (last.split()[place], older.split()[place]) == ("5", "0")
    assert "metadata" not in "\n".join(drawn(status(runs=[run(27, redescribed=0)])))


def test_how_vectors_are_stored_is_shown_where_it_is_not_float16() -> None:
    assert "stored" not in "\n".join(drawn(status()))
    mixed = encoding("mixed", store="sentences=int8,words=binary")
    for width in (80, 100, 140):
        lines = drawn(status(encodings=[encoding("polyseme_mini"), encoding("small", store="int8"), mixed]), width)
        heading = next(line for line in lines if line.lstrip().startswith("name"))
        place = heading.index("stored")
        shown = [line[place:].split("  ")[0] for line in lines[lines.index(heading) + 1 :][:3]]
        assert shown == ["float16", "int8", "int8, binary"]
        assert "  mixed: stored as sentences=int8,words=binary" in lines
        assert max(map(len, lines)) <= width


def test_documents_that_were_only_rounded_are_not_called_encoded() -> None:
    lines = drawn(status(runs=[run(27, documents=12, rounded_documents=10), run(26, rounded_documents=0)]))
    heading, last, older = next(lines[at : at + 3] for at, line in enumerate(lines) if "encoded" in line)
    places = [heading.split().index(name) for name in ("encoded", "rounded")]
    assert [[line.split()[place] for place in places] for line in (last, older)] == [["2", "10"], ["12", "0"]]
    assert "rounded" not in "\n".join(drawn(status(runs=[run(27, rounded_documents=0)])))


def test_a_command_is_never_broken_and_a_sentence_only_on_a_terminal() -> None:
    what, command = "x" * 70 + " " + "y" * 70, "polyseme embed " + "/data/" + "z" * 150
    found = status(to_do=[{"what": what, "command": command}])
    assert f"    {command}" in drawn(found, 80)
    assert f"- {what}:" not in drawn(found, 80)
    assert f"- {what}:" in drawn(found, 80, wrap=False)


def test_a_running_run_shows_its_progress_and_its_last_sign_of_life() -> None:
    going = run(27, state="running", seconds_wall=None, tokens_per_second=None)
    lines = drawn(status(running=[going]), wrap=False)
    assert (
        "Run 8c1f2b3d4e27 is running on worker-3 since 14h59m: 12 documents and 10,203 tokens committed, "
        "last sign of life 40s ago."
    ) in lines
    assert "last sign" not in "\n".join(drawn(status(running=[going | {"seen_at": None, "host": None}])))


def test_counts_of_sentences_are_about_while_parts_have_earlier_versions() -> None:
    assert "~48,210 sentences" in drawn(status(encodings=[encoding("polyseme_mini", superseded=2)]))[0]


def test_an_empty_lake_and_one_with_many_encodings_have_a_screen_too() -> None:
    empty = drawn(status(encodings=[], runs=[], rejects_by_code={}, to_do=[]))
    assert empty[0] == "Lake /data/lakes/news: empty"
    assert empty[-1] == "To do: nothing."
    many = [encoding(f"model_{n}") for n in range(30)] + [encoding("polyseme_mini")]
    advice = [{"what": f"thing {n}", "command": ""} for n in range(30)]
    lines = drawn(status(encodings=many, to_do=advice, rejects_by_code={f"code-{n}": n for n in range(1, 12)}))
    assert len(lines) <= 32
    assert any("* polyseme_mini" in line for line in lines)
    assert "  and 23 more: polyseme status --json" in lines
    assert "- and 25 more: polyseme status --json" in lines
    assert any("5 other codes" in line for line in lines)


def test_characters_that_a_terminal_obeys_are_escaped_in_every_line() -> None:
    bad = "a\x1b[2Jb\u202e\nc"
    found = status(
        lake=bad, encodings=[encoding(bad, model=bad)], runs=[run(27, run_id=bad, state=bad)],
        running=[run(27, host=bad)], rejects_by_code={bad: 1}, to_do=[{"what": bad, "command": bad}],
    )  # fmt: skip
    text = "\n".join(drawn(found))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_text_that_the_model_does_not_know_is_told_while_the_last_run_had_much_of_it() -> None:
    (told,) = to_do([], [], [run(27, documents=0), run(26, documents=40, unknown_documents=4), run(25)], "lake")
    assert told.what.startswith("Run 8c1f2b3d4e26: 4 of 40 documents are in a language or script that the model does")
    assert "--model google-bert/bert-base-multilingual-cased" in told.what
    assert to_do([], [], [run(26, documents=41, unknown_documents=4), run(25, unknown_documents=12)], "lake") == []


def test_of_runs_over_the_same_sources_the_last_says_what_there_is_to_do() -> None:
    died = run(25, state="died", error="process 7 on worker-3 ended.", sources=["/data/a b"])
    (one,) = to_do([], [], [run(26), died], "/lakes/n")
    assert one.command == "polyseme embed '/data/a b' --lake /lakes/n"
    assert one.what.startswith("Run 8c1f2b3d4e25 died: process 7 on worker-3 ended. It committed 12 documents.")
    assert to_do([], [], [run(26, sources=["/data/a b"]), died], "/lakes/n") == []
    (cancelled,) = to_do([], [], [run(26, state="cancelled", error=None, sources=["-"])], "lake")
    assert (cancelled.command, "was cancelled: no reason is recorded" in cancelled.what) == ("", True)
    (again,) = to_do([], [], [run(26, state="failed", sources=["lake and title LIKE 'x'"])], "lake")
    assert again.command == "polyseme backfill --lake lake"


@pytest.mark.parametrize(
    ("died", "later", "settled"),
    [
        (["./a", "b"], ["b/", "a"], True),
        (["/x/a"], ["/x/b", "/x/a/../a"], True),
        (["/x/a", "/x/b"], ["/x/a"], False),
        (["a"], ["/x/a"], False),
        (["lake and title = 'a//b'"], ["lake and title = 'a/b'"], False),
        (["lake and title = 'a'"], ["lake"], True),
        (["lake"], ["lake and title = 'a'"], False),
        (["/x/a"], ["lake"], False),
        (["file:///x/a"], ["file:///x/a"], True),
    ],
)
def test_sources_are_the_same_however_they_were_typed(died: list[str], later: list[str], settled: bool) -> None:
    runs = [run(27, sources=later), run(26, state="died", sources=died)]
    assert (to_do([], [], runs, "lake") == []) == settled
    assert to_do([], [], [run(27, sources=later, encoding_id="other"), runs[1]], "lake") != []


def test_a_long_error_leaves_room_for_what_to_do() -> None:
    page = "Prefect's temporary server ended.\n" + "  It wrote a line.\n" * 40
    failed = run(27, state="failed", error=page)
    (one,) = to_do([], [], [failed], "lake")
    assert len(one.what) < 350
    assert "\n" not in one.what
    assert one.what.endswith("… It committed 12 documents. The rest, with the options as before")
    lines = drawn(status(to_do=[{"what": one.what, "command": one.command}]))
    assert " ".join(line.strip() for line in lines).count("options as before: polyseme embed") == 1


def test_broken_parts_are_said_once_and_first() -> None:
    first, second = to_do([encoding("bert", damaged=1)], [], [], "/lakes/n", broken=["data/words/a.parquet", "b"])
    assert first.what.startswith("2 parts are missing or changed, such as data/words/a.parquet, and those before")
    assert first.command == "polyseme verify --lake /lakes/n"
    assert "lost rows" in second.what


def test_commands_name_their_sources_and_lakes_in_one_word_each() -> None:
    held = HeldBack(
        encoding_id="e", source="/data/it's here", run_id="r", reason="too-many", documents=3, had=4,
        examples=("file:///x",), confirm_with="3",
    )  # fmt: skip
    encodings = [encoding("polyseme_mini"), encoding("bert", missing=1, damaged=2)]
    found = to_do(encodings, [held], [], "/my lakes/n")
    words = [shlex.split(one.command) for one in found]
    assert words[0] == ["polyseme", "embed", "/data/it's here", "--lake", "/my lakes/n", "--delete-limit", "3"]
    assert words[1][1:4] == ["backfill", "--encoding", "bert"]
    assert words[2][1:3] == ["verify", "--repair"]


def test_an_encoding_with_an_earlier_splitter_says_what_changing_costs_until_there_is_one_like_it() -> None:
    old = encoding("polyseme_mini", splitter="nupunkt-0.8.0/1", earlier_splitter=True)
    (one,) = to_do([old], [], [], "/my lakes/n")
    assert "its 1,204 documents (1,203,441 tokens)" in one.what
    assert one.command == (
        "polyseme backfill --from polyseme_mini --splitter rules --name polyseme_mini_rules --lake '/my lakes/n'"
    )
    assert to_do([old, encoding("another", layers="last4")], [], [], "l")
    assert not to_do([old, encoding("polyseme_mini_rules")], [], [], "l")


def test_an_encoding_of_an_earlier_model_is_made_again_with_its_layers() -> None:
    old, last = encoding("low", layers="5", earlier_model=True), encoding("now")
    (one,) = to_do([old, last], [], [], "l")
    assert one.command == "polyseme backfill --model polyseme-mini --from low --layers 5 --lake l"
    (one,) = to_do([old | {"default": True}, last, encoding("low_2", layers="5")], [], [], "l")
    assert one.command == "polyseme status --default low_2 --lake l"


def test_columns_are_left_out_by_rank_and_the_flexible_one_is_cut() -> None:
    columns = [
        Column(heading="name", texts=["a", "bb"]),
        Column(heading="n", texts=["1", "20"], number=True),
        Column(heading="more", texts=["x" * 30, "y"], rank=1),
        Column(heading="none", texts=["", ""]),
        Column(heading="made by", texts=["z" * 60, "z"], flexible=True),
    ]
    assert aligned(columns, 40) == [
        "  name   n  made by",
        f"  a      1  {'z' * 27}…",
        "  bb    20  z",
    ]
    assert len(aligned(columns, 120)[1]) > 90


def test_quantities_are_short() -> None:
    assert [count(n) for n in (None, 0, 99_999, 123_456, 1_203_441, 48_210_000)] == [
        "", "0", "99,999", "123 k", "1.2 M", "48.2 M",
    ]  # fmt: skip
    assert [size(n) for n in (12, 7_200_000, 999_999_999)] == ["12 B", "7.2 MB", "1.0 GB"]
    assert [duration(s) for s in (None, 0.31, 59.9, 60, 754.2, 4000, 200_000)] == [
        "", "0.3s", "59s", "1m00s", "12m34s", "1h06m", "2d07h",
    ]  # fmt: skip
    assert moment(NOW, NOW) == "11-27 17:00"
    assert moment(NOW - timedelta(days=365), NOW) == "2025-11-27"


def test_files_that_were_skipped_have_a_line_with_the_extensions_that_are_not_read() -> None:
    def skipped(files: int, extension: str, reason: str = "not-a-text-format") -> dict[str, Any]:
        row = {"source": "/data/news", "extension": extension, "reason": reason, "files": files, "example": "file:///a"}
        return row | {"run_id": "r"}

    rows = [skipped(1200, ".pdf"), skipped(3, ".zip"), skipped(2, "", "hidden"), skipped(1, ".pdf")]
    (line,) = [line for line in drawn(status(skipped=rows)) if "files skipped" in line]
    assert line == '1,206 files skipped: 1,204 not-a-text-format (1,201 .pdf, 3 .zip), 2 hidden: polyseme sql "from'


def test_parts_that_nobody_reads_any_more_are_to_be_removed_once_a_vacuum_would() -> None:
    waiting = {"parts": 6, "bytes": 5_939_218, "removable_parts": 0, "removable_bytes": 0}
    assert to_do([], [], [], "lake", replaced=waiting) == []
    (one,) = to_do([], [], [], "my lake", replaced=waiting | {"removable_parts": 4, "removable_bytes": 2_000_000})
    assert one.what.startswith("4 parts with 2.0 MB can be removed")
    assert one.command == "polyseme vacuum --lake 'my lake'"
