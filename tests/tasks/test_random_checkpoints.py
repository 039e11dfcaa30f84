"""Whatever sizes a checkpoint of a family has, texts in twelve scripts have transformers' tokens and vectors."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from polyseme.storage.records import Document, Outputs
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.inference.vectors import token_and_text_vectors
from polyseme.tasks.model.families.known import PACKED
from polyseme.tasks.reading.normalization import normalise
from polyseme.tasks.text.windows import sentence_windows
from tests.random_models import KINDS, VOCABULARY, Kind, save_random
from tests.reference import TOLERANCE, Floats, assert_close, assert_stored, one_thread
from tests.tasks.model.test_generic import KINDS as OTHERS
from tests.tokenizers import SENTENCES, save_tokenizer

ALL = KINDS | {"bert": Kind("Bert", {}, 0)} | {name: OTHERS[name] for name in ("deberta-v2", "nomic_bert", "rembert")}
TOKENIZERS = {"nomic_bert": "bert", "rembert": "albert"}
"""Families that transformers knows no tokenizer of, as they are mostly stored."""
ROUNDINGS = 4
"""How many times further from transformers than its own float32 from its float64: sums in another order."""
NOW = datetime(2026, 11, 28, tzinfo=UTC)
SCRIPTS = (
    "abcdefgh éüñøçß' ABC", "абвгдежзий ёАБВ", "αβγδεζηθ άώςΑΒ", "ابتثجح كِتَاب", "אבגדהו שָׁלוֹם", "अआकखग की है वस्",
    "กขคงจ เมืองหลวง", "東京日本の首都です", "北京是中国的有很多人", "서울은 대한민국", "Երևան աբգդ", "ქართული ენა",
)  # fmt: skip
LETTERS = st.sampled_from(SCRIPTS).flatmap(lambda letters: st.text(letters, min_size=1, max_size=9))
WRITTEN = st.one_of(LETTERS, st.sampled_from([s for s in SENTENCES if s.isprintable() and len(s) < 45]))
TEXTS = st.lists(st.lists(WRITTEN, min_size=1, max_size=4).map(" ".join).map(normalise), min_size=1, max_size=5)


@dataclass(frozen=True)
class Made:
    """How a checkpoint is made: sizes that no real model has, its class, the size of its files."""

    name: str
    head: str
    shard: str | None
    changes: dict[str, Any]

    @property
    def kind(self) -> Kind:
        return ALL[self.name]

    def save(self, folder: Path) -> Path:
        save_tokenizer(folder, TOKENIZERS.get(self.name, self.name))
        return save_random(folder, self.kind, self.head, shard=self.shard, **self.changes)


@st.composite
def checkpoints(draw: st.DrawFn, name: str) -> Made:
    """Draw sizes that a family may have, whether its head is tied, and in how many files it is."""
    number = st.integers
    heads, head_size = draw(number(1, 4)), draw(number(3, 9)) * 2
    hidden, layers = heads * head_size, draw(number(1, 5))
    sizes: dict[str, Any] = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": draw(number(1, 80)), "vocab_size": 700 + draw(number(0, 40)),
        "max_position_embeddings": draw(number(120, 300)), "tie_word_embeddings": draw(st.booleans()),
        "type_vocab_size": draw(number(1, 3)), "layer_norm_eps": draw(st.sampled_from([1e-5, 1e-12])),
        "hidden_act": draw(st.sampled_from(["gelu", "gelu_new", "relu", "silu"])),
    }  # fmt: skip
    head = draw(st.sampled_from(["Model", "ForMaskedLM"]))
    if name == "bert":
        head = draw(st.sampled_from(["Model", "ForMaskedLM", "ForPreTraining", "ForTokenClassification"]))
    if name in ("electra", "albert"):
        sizes["embedding_size"] = draw(st.sampled_from([hidden, 7, 30]))
        head = draw(st.sampled_from([head, "ForPreTraining"]))
    if name == "albert":
        groups = draw(number(1, layers))
        sizes |= {"num_hidden_groups": groups, "inner_group_num": draw(number(1, 2))}
    if name == "modernbert":
        sizes |= {
            "hidden_activation": sizes["hidden_act"], "local_attention": draw(number(1, 30)),
            "global_attn_every_n_layers": draw(number(1, 4)),
            "norm_bias": draw(st.booleans()), "attention_bias": draw(st.booleans()), "mlp_bias": draw(st.booleans()),
        }  # fmt: skip
    if name == "mpnet":
        sizes |= {"relative_attention_num_buckets": draw(st.sampled_from([32, 40])), "max_position_embeddings": 302}
    if name == "camembert":
        # Positions begin behind the padding token, which is not in a text: here 1, the default, is the unknown token.
        sizes["pad_token_id"] = 3
    if name == "distilbert":
        own = PACKED[name].fields
        sizes = {own.get(field, field): size for field, size in sizes.items()}
        sizes["sinusoidal_pos_embds"] = draw(st.booleans())
    if name == "rembert":
        sizes |= {"input_embedding_size": 20, "output_embedding_size": 24}
    return Made(name, head, draw(st.sampled_from([None, "3KB", "20KB"])), sizes)


def tolerance(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Return how close to be to `found`, in float32, of which `exact` is the same in float64.

    Networks of some random sizes enlarge rounding: the two may be 1e-3 apart.
    """
    return max(TOLERANCE, ROUNDINGS * float((found - exact).abs().max())) if len(found) else TOLERANCE


class Compared:
    """A checkpoint as Polyseme and as transformers load it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine(EngineConfig(model=str(folder), device="cpu", precision="fp32"))
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    @cached_property
    def body(self) -> Any:
        return transformers.AutoModel.from_pretrained(self.folder, dtype=torch.float32).eval()

    @cached_property
    def exact_body(self) -> Any:
        return copy.deepcopy(self.body).double()

    def one_window(self, text: str) -> bool:
        """Return whether a text is one window, and comparable: MPNet counts no position for id 1, of any vocabulary."""
        ids = self.tokenizer(text)["input_ids"]
        counts = self.engine.checkpoint.family.title != "MPNet" or 1 not in ids
        return len(ids) <= self.engine.checkpoint.max_tokens and counts

    def states(self, text: str) -> tuple[Floats, float]:
        """Return the `(tokens, hidden)` of transformers, without the special tokens, and how close to be to them."""
        given = self.tokenizer(text, return_tensors="pt", return_special_tokens_mask=True)
        special = given.pop("special_tokens_mask")[0].bool()
        with torch.inference_mode(), one_thread():
            found, exact = (body(**given).last_hidden_state[0][~special] for body in (self.body, self.exact_body))
        return found.numpy(), tolerance(found, exact)

    def assert_vectors(self, texts: list[str]) -> None:
        vectors, _ = token_and_text_vectors(self.engine, texts)
        budgets = [replace(self.engine.config, budget=budget) for budget in (1, 4096)]
        apart, together = (token_and_text_vectors(Engine(config), texts)[0] for config in budgets)
        packed = self.engine.checkpoint.family.kind != "generic"
        assert not packed or ((apart == together).all() and (apart == vectors).all())
        begin = 0
        for text in texts:
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            part = slice(begin, begin + len(ids))
            if self.one_window(text):
                states, closeness = self.states(text)
                for found in (vectors, apart, together):
                    assert_close(found[part], states, closeness)
            begin = part.stop
        assert begin == len(vectors)

    def assert_masked(self, text: str, head: str) -> None:
        """Fail if the logits of a head, tied or not, are others than transformers'."""
        encoder = self.engine.encoder
        is_discriminator = head == "ForPreTraining" and self.engine.checkpoint.family.title == "ELECTRA"
        assert encoder.has_mlm == (head in ("ForMaskedLM", "ForPreTraining") and not is_discriminator)
        if not encoder.has_mlm or not self.one_window(text):
            return
        model: Any = transformers.AutoModelForMaskedLM.from_pretrained(self.folder, dtype=torch.float32).eval()
        models = model, copy.deepcopy(model).double()
        ids = np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int32)
        frame = self.engine.frame
        sequence = torch.tensor([[*frame.before, *ids.tolist(), *frame.after]])
        with torch.inference_mode(), one_thread():
            logits, exact = (model(sequence).logits[0][len(frame.before) :][: len(ids)] for model in models)
        windows = sentence_windows(np.array([0, len(ids)]), range(1), encoder.max_tokens, frame)
        found = encoder.token_logits(ids, windows, wanted=np.arange(len(ids)))
        assert_close(found, logits.numpy(), tolerance(logits, exact))

    def assert_rows(self, texts: list[str]) -> None:
        """Fail if the stored rows of a document are not, sentence by sentence, what transformers gives."""
        document = Document("a", "a", " ".join(texts))
        outputs = Outputs(nsp=False, level="tokens")
        (chunk,) = self.engine.run([document], outputs, version=1, seed=0, ingested_at=NOW)
        place = ("sentence_index", "token_index")
        tables = {name: table.to_pylist() for name, table in chunk.tables.items()}
        rows = sorted(tables.get("tokens", []), key=lambda row: [row[name] for name in place])
        for sentence in tables.get("sentences", []):
            start, text = sentence["char_start"], sentence["text"]
            assert text == document.text[start : sentence["char_end"]]
            mine = [row for row in rows if row["sentence_index"] == sentence["sentence_index"]]
            theirs = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            assert [row["token_id"] for row in mine] == theirs["input_ids"], text
            for row, (a, b) in zip(mine, theirs["offset_mapping"], strict=True):
                # A space that SentencePiece puts before a text is of no character.
                span = "" if row["token"] == "▁" else text[a:b]
                assert document.text[row["char_start"] : row["char_end"]] == span.strip()
                assert not span.strip() or row["char_start"] == start + a + len(span) - len(span.lstrip())
            if self.one_window(text) and mine:
                assert_stored([row["embedding"] for row in mine], *self.states(text))
        for word in tables.get("words", []):
            assert document.text[word["char_start"] : word["char_end"]] == word["word"]


@contextmanager
def saved(made: Made) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield made.save(folder)
    finally:
        shutil.rmtree(folder)


def assert_as_transformers(made: Made, texts: list[str]) -> None:
    with saved(made) as folder:
        compared = Compared(folder)
        compared.assert_vectors(texts)
        compared.assert_rows(texts)
        compared.assert_masked(texts[0], made.head)


def test_every_packed_family_is_drawn() -> None:
    assert PACKED.keys() <= ALL.keys()
    assert VOCABULARY < 700


@pytest.mark.parametrize("name", ALL)
def test_texts_of_twelve_scripts_have_the_tokens_vectors_and_offsets_of_transformers(name: str) -> None:
    @given(checkpoints(name), TEXTS)
    @settings(max_examples=4)
    def compare(made: Made, texts: list[str]) -> None:
        assert_as_transformers(made, texts)

    compare()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_many_checkpoints_have_the_tokens_vectors_and_offsets_of_transformers(name: str) -> None:
    @given(checkpoints(name), TEXTS)
    @settings(max_examples=60)
    def compare(made: Made, texts: list[str]) -> None:
        assert_as_transformers(made, texts)

    compare()
