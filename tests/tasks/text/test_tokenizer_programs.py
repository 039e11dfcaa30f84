"""Tokenizers that call another program are refused by name, whether the program is there or not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from polyseme.flows.cli import main
from polyseme.tasks.model.checkpoint import embedded_folder


def test_doctor_says_that_a_tokenizer_needs_mecab(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(embedded_folder() / name, tmp_path / name)
    vocabulary = json.loads((embedded_folder() / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), "utf-8")
    settings = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--model", str(tmp_path)])
    assert ended.value.code != 0
    assert "needs another program, MeCab or Sudachi" in capfd.readouterr().out
