"""Tables as programs write them: the delimiter, quotes and line ends are found, or said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.byte_streams import buffered, with_newlines
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file


def read(folder: Path, content: str | bytes, name: str = "a.csv", **options: object) -> list[Document | Reject]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_file(path, path.as_uri(), ReadOptions(**options)))  # type: ignore[arg-type]


def texts(found: list[Document | Reject]) -> dict[str, str]:
    assert all(isinstance(one, Document) for one in found), found
    return {one.doc_id: one.text for one in found if isinstance(one, Document)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_whatever_the_file_is_called(tmp_path: Path, delimiter: str) -> None:
    table = "\n".join(delimiter.join(row) for row in [("id", "text"), ("1", "It rained."), ("2", "It stopped.")])
    for name in ("a.csv", "a.tsv"):
        assert texts(read(tmp_path, table, name)) == {"1": "It rained.", "2": "It stopped."}


def test_the_delimiter_is_the_one_under_which_the_header_names_the_text(tmp_path: Path) -> None:
    table = "id;text;n\n1;Red, green, blue;3,5\n2;One, two, three;4,5\n"
    assert texts(read(tmp_path, table)) == {"1": "Red, green, blue", "2": "One, two, three"}


def test_one_column_may_hold_every_delimiter(tmp_path: Path) -> None:
    found = texts(read(tmp_path, "text\nOne, two; three\nFour\n"))
    assert list(found.values()) == ["One, two; three", "Four"]


def test_quotes_may_be_escaped_by_a_backslash(tmp_path: Path) -> None:
    table = 'id,text\n1,"She said \\"no\\", and left"\n2,"Again \\"no\\""\n'
    assert texts(read(tmp_path, table)) == {"1": 'She said "no", and left', "2": 'Again "no"'}
    assert texts(read(tmp_path, 'id,text\n1,"C:\\"\n2,"D:\\"\n')) == {"1": "C:\\", "2": "D:\\"}


def test_quotes_of_a_table_with_tabs_are_text(tmp_path: Path) -> None:
    """A quote that opens a cell swallowed all rows up to the next one."""
    rows = ['"Open the gate', "The dog slept.", 'Then he said so"', "Rain fell.", '"Stop!" she called.', '"Stop!"']
    table = "id\ttext\n" + "".join(f"q{i}\t{row}\n" for i, row in enumerate(rows))
    assert texts(read(tmp_path, table, "a.tsv")) == {f"q{i}": row for i, row in enumerate(rows)}
    without = [row for row in rows if "she" not in row]
    table = "id\ttext\n" + "".join(f"q{i}\t{row}\n" for i, row in enumerate(without))
    assert list(texts(read(tmp_path, table, "a.tsv")).values()) == without


@given(
    cells=st.lists(st.text("ab \t\n\"',;|", min_size=1).filter(str.strip), min_size=3, max_size=9),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_what_a_program_wrote_as_csv_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], delimiter: str, quoting: int
) -> None:
    out = io.StringIO()
    # A quoted cell with a doubled quote, or a header in quotes, is what tells a program's tabs from the standard's.
    csv.writer(out, delimiter=delimiter, quoting=quoting).writerows(  # type: ignore[arg-type]
        [("id", "text"), ("first", 'a "word", quoted\tand more'), *enumerate(cells)]
    )
    expected = {"first": 'a "word", quoted\tand more', **{str(i): cell for i, cell in enumerate(cells)}}
    assert texts(read(tmp_path_factory.mktemp("csv"), out.getvalue())) == expected


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_lines_may_end_in_a_carriage_return_alone(tmp_path: Path, name: str) -> None:
    table = {"a.csv": "id,text\rm1,One.\rm2,Two.", "a.tsv": "id\ttext\rm1\tOne.\rm2\tTwo.\r"}
    lines = '{"id": "m1", "text": "One."}\r{"id": "m2", "text": "Two."}\r'
    assert texts(read(tmp_path, table.get(name, lines), name)) == {"m1": "One.", "m2": "Two."}


@pytest.mark.parametrize("chunks", [[b"a\rb"], [b"a\r", b"b"], [b"a", b"\rb\r", b"c\n"], [b"", b"a\r"], [b"a"]])
def test_the_end_of_a_line_is_found_wherever_the_stream_is_cut(chunks: list[bytes]) -> None:
    assert with_newlines(buffered(chunks)).read() == b"".join(chunks).replace(b"\r", b"\n")
    windows = [chunk.replace(b"\r", b"\r\n") for chunk in chunks]
    assert with_newlines(buffered(windows)).read() == b"".join(windows)
    cut = [bytes([byte]) for byte in b"".join(windows)]
    assert with_newlines(buffered(cut)).read() == b"".join(windows)


def test_files_with_byte_order_marks_may_be_joined(tmp_path: Path) -> None:
    joined = ['\ufeff{"id": "j1", "text": "One."}\n', '\ufeff{"id": "j2", "text": "Two."}\n']
    assert texts(read(tmp_path, "".join(joined), "a.jsonl")) == {"j1": "One.", "j2": "Two."}
    assert texts(read(tmp_path, "\ufeffid,text\n1,One.\n\ufeff2,Two.\n")) == {"1": "One.", "2": "Two."}


def test_columns_of_one_name_get_a_number(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "id,text,tag,tag,tag_2,tag\n1,One.,a,b,c,d\n")
    assert isinstance(found, Document)
    assert json.loads(found.metadata) == {"tag": "a", "tag_3": "b", "tag_2": "c", "tag_4": "d"}


def test_a_table_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "1,One.\n2,Two.\n", header=False, text_field="column_2", id_field="column_1")
    assert texts(found) == {"1": "One.", "2": "Two."}
    assert [one.locator for one in found] == ["row 1", "row 2"]


def test_what_the_user_says_is_not_looked_for(tmp_path: Path) -> None:
    table = "id,text\n1,'One, two'\n"
    assert texts(read(tmp_path, table, quote="'")) == {"1": "One, two"}
    assert texts(read(tmp_path, 'id;text\n1;"One"\n', quote="none", delimiter=";")) == {"1": '"One"'}
    assert texts(read(tmp_path, "id:text\n1:One\n", delimiter=":")) == {"1": "One"}


@pytest.mark.parametrize(
    "wrong", [{"delimiter": ""}, {"delimiter": "::"}, {"delimiter": "\n"}, {"quote": "''"}, {"quote": ""}]
)
def test_a_delimiter_is_one_character(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="one character"):
        ReadOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be both"):
        ReadOptions(delimiter="|", quote="|")
