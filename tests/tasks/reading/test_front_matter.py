"""Front matter: the fields above a Markdown text are metadata, and the text begins below them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from polyseme.storage.records import Document, Reject
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.readers import read_file

YAML = """---
title: On Tides
date: 2020-01-01
draft: no
published: true
version: 1.10
account: 184467440737095516161
tags: [sea, 'moon', 3]
place: {harbour: {depth: 4}}
editor:
---
The moon pulls the water.
"""
TOML = """+++
title = "On Tides"
date = 2020-01-01T06:00:00Z
version = 1.10
tags = ["sea", { depth = 4 }]
+++
The moon pulls the water.
"""


def read(folder: Path, text: str, name: str = "a.md") -> Document | Reject:
    path = folder / name
    path.write_bytes(text.encode())
    (found,) = read_file(path, path.as_uri(), ReadOptions())
    return found


def document(folder: Path, text: str, name: str = "a.md") -> Document:
    found = read(folder, text, name)
    assert isinstance(found, Document)
    return found


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_yaml_keeps_what_was_written(tmp_path: Path, line_end: str) -> None:
    found = document(tmp_path, YAML.replace("\n", line_end))
    assert found.text.strip() == "The moon pulls the water."
    assert found.title == "On Tides"
    assert found.metadata == (
        '{"account":184467440737095516161,"date":"2020-01-01","draft":"no","editor":null,'
        '"place":{"harbour":{"depth":4}},"published":true,"tags":["sea","moon",3],"version":1.10}'
    )


def test_toml_does_too(tmp_path: Path) -> None:
    found = document(tmp_path, TOML)
    assert (found.title, found.text) == ("On Tides", "The moon pulls the water.\n")
    assert found.metadata == '{"date":"2020-01-01T06:00:00+00:00","tags":["sea",{"depth":4}],"version":1.10}'


def test_a_heading_is_the_title_if_no_field_is(tmp_path: Path) -> None:
    found = document(tmp_path, "---\nlang: en\n---\n# Tides\nText.\n")
    assert (found.title, json.loads(found.metadata)) == ("Tides", {"lang": "en"})
    assert document(tmp_path, "---\ntitle: 7\n---\nText.\n").metadata == '{"title":7}'


@pytest.mark.parametrize(
    "text",
    [
        "---\nA scene between two rules.\n---\nThe end.\n",
        "---\n- a list\n---\nText.\n",
        "---\nnever: closed\n\nText.\n",
        "---\nbroken: [\n---\nText.\n",
        "---\n---\nText.\n",
        "---\na: &x [1, 2]\nb: [*x, *x]\n---\nAliases expand.\n",
        "+++\nnot toml\n+++\nText.\n",
        "Text.\n---\na: 1\n---\n",
        "---\na: " + "[" * 5000 + "]" * 5000 + "\n---\nDeep.\n",
    ],
)
def test_what_is_no_front_matter_is_text(tmp_path: Path, text: str) -> None:
    found = document(tmp_path, text)
    assert (found.text, found.metadata) == (text, "{}")


def test_only_markdown_has_front_matter(tmp_path: Path) -> None:
    assert document(tmp_path, YAML, "a.txt").text == YAML


def test_a_file_of_front_matter_alone_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, "---\na: 1\n---\n")
    assert isinstance(found, Reject)
    assert found.code == "empty-text"


def test_tags_make_no_objects(tmp_path: Path) -> None:
    text = "---\na: !!python/object/apply:os.system [exit]\nb: !!binary aGk=\n---\nText.\n"
    assert json.loads(document(tmp_path, text).metadata) == {"a": ["exit"], "b": "aGk="}


def test_time_is_linear(tmp_path: Path) -> None:
    began = time.process_time()
    for line in ("---\n", "a:\n", "- " * 40, "{" * 40, "a: 'b\n", "\t", "? "):
        read(tmp_path, f"---\n{line * (60_000 // len(line))}\n---\nText.\n")
    assert time.process_time() - began < 20, "64 KiB of front matter at most, each within seconds"
