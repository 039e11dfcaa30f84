"""Encoders without a packed network run through transformers' own forward: right, whatever else is in the batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyseme.storage.errors import ModelError
from polyseme.storage.records import Layers
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.encoder import Encoder
from polyseme.tasks.model.generic import GenericNetwork, joined
from polyseme.tasks.text.windows import sentence_windows
from tests.random_models import BERT_FRAME, VOCABULARY, Kind, save_random
from tests.reference import assert_close
from tests.tasks.model.test_families import encode, encoder, output, states, tokens

_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
    "intermediate_size": 70, "max_position_embeddings": 48,
}  # fmt: skip
_FUNNEL = {"vocab_size": VOCABULARY, "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 70, "block_sizes": [1, 2]}
KINDS = {
    "deberta-v2": Kind("DebertaV2", _SIZES | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, 48),
    "nomic_bert": Kind("NomicBert", _SIZES, 48),
    "eurobert": Kind("EuroBert", _SIZES | {"num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 0}, 48),
    "rembert": Kind("RemBert", _SIZES | {"input_embedding_size": 20, "output_embedding_size": 24}, 48),
    "roformer": Kind("RoFormer", _SIZES, 48),
    "xlnet": Kind("XLNet", {"vocab_size": VOCABULARY, "d_model": 32, "n_layer": 4, "n_head": 2, "d_inner": 70}, 512),
    "data2vec-text": Kind("Data2VecText", _SIZES, 46),
}
MODELS = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
LENGTHS = [1, 7, 7, 46, 30, 7, 0, 30, 13]


@pytest.mark.parametrize(("layers", "last"), [("last", 1), ("last4", 4)])
@MODELS
def test_vectors_equal_transformers(tmp_path: Path, kind: Kind, layers: Layers, last: int) -> None:
    folder = save_random(tmp_path, kind)
    lengths = [min(length, kind.limit - 2) for length in LENGTHS]
    found, (ids, ptr) = encode(folder, kind, lengths, layers), tokens(lengths)
    for i in range(len(lengths)):
        hidden = states(folder, kind, ids[ptr[i] : ptr[i + 1]], last=last)
        assert_close(found.tokens[ptr[i] : ptr[i + 1]], hidden[1:-1])
        assert_close(found.first[i], hidden[0])


@MODELS
def test_a_vector_depends_on_its_batch_by_no_more_than_the_order_of_sums(tmp_path: Path, kind: Kind) -> None:
    folder = save_random(tmp_path, kind)
    lengths = [1, 3, 12, 25, 25, 26, 30, 40, 7, 7, 7]
    together, apart = (encode(folder, kind, lengths, budget=budget).tokens for budget in (1024, 1))
    np.testing.assert_allclose(together, apart, atol=2e-5, rtol=1e-5)


@MODELS
def test_limits_and_heads_are_known_before_anything_is_loaded(tmp_path: Path, kind: Kind) -> None:
    checkpoint = Checkpoint("model", save_random(tmp_path, kind))
    assert (checkpoint.width, checkpoint.layers, checkpoint.max_tokens) == (32, 4, kind.limit)
    assert not checkpoint.claims_head("MLM")
    loaded = encoder(checkpoint.folder)
    assert (loaded.has_nsp, loaded.has_mlm, loaded.has_order) == (False, False, False)


def test_a_model_that_shortens_its_sequences_gives_its_last_vectors_only(tmp_path: Path) -> None:
    kind = Kind("Funnel", _FUNNEL, 512)
    folder = save_random(tmp_path, kind)
    ids, _ = tokens([9])
    sequence = [*BERT_FRAME.before, *ids.tolist(), *BERT_FRAME.after]
    truth = output(folder, "AutoModel", sequence, []).last_hidden_state[0].numpy()
    assert_close(encode(folder, kind, [9]).tokens, truth[1:-1])
    for layers in ("last2", "1", "mean:0-2"):
        with pytest.raises(ModelError, match=r"not have a vector for each token\. Use --layers last"):
            encoder(folder, layers)


def test_weights_in_many_files_are_found(tmp_path: Path) -> None:
    kind = KINDS["deberta-v2"]
    one, many = (save_random(tmp_path / (shard or "one"), kind, shard=shard) for shard in (None, "10KB"))
    assert len(list(many.glob("*.safetensors"))) > 3
    assert (encode(one, kind, [9]).tokens == encode(many, kind, [9]).tokens).all()


def refused(folder: Path, **changes: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError) as error:
        Encoder(Checkpoint("some model", folder), device=torch.device("cpu"))
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "decoder"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "not an encoder"),
        ({"model_type": "not-there"}, "no model of that name"),
        ({"model_type": "not-there", "auto_map": {"AutoModel": "modeling.Model"}}, "never runs"),
        ({"model_type": None}, "no model_type"),
        ({"num_hidden_layers": 6}, "lacks"),
        ({"intermediate_size": 71}, "lacks"),
        ({"vocab_size": 1 << 24, "hidden_size": 1 << 12}, "could not be loaded"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"hidden_size": "32"}, "hidden_size"),
    ],
)
def test_what_transformers_cannot_run_whole_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(save_random(tmp_path, KINDS["deberta-v2"]), **changes)


def test_int8_is_refused(tmp_path: Path) -> None:
    folder = save_random(tmp_path, KINDS["nomic_bert"])
    with pytest.raises(ModelError, match="no int8"):
        Encoder(Checkpoint("m", folder), device=torch.device("cpu"), precision="int8")


MASKED = [name for name in KINDS if name != "xlnet"]
"""Those that transformers has an MLM head for."""


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("name", MASKED)
def test_masked_lm_logits_equal_transformers(tmp_path: Path, name: str, tied: bool) -> None:
    kind = KINDS[name]
    folder = save_random(tmp_path, kind, "ForMaskedLM", tie_word_embeddings=tied)
    loaded = encoder(folder)
    assert (loaded.has_mlm, loaded.checkpoint.claims_head("MLM")) == (True, True)
    ids, ptr = tokens([20, 9])
    wanted = np.array([3, 11, 25], dtype=np.int64)
    windows = sentence_windows(ptr, range(2), kind.limit, kind.frame)
    found = loaded.token_logits(ids, windows, wanted=wanted)
    for s, rows in ((0, [0, 1]), (1, [2])):
        sequence = [*kind.frame.before, *ids[ptr[s] : ptr[s + 1]].tolist(), *kind.frame.after]
        logits = output(folder, "AutoModelForMaskedLM", sequence, []).logits[0].numpy()
        assert_close(found[rows], logits[wanted[rows] - ptr[s] + 1])
    surprisals = loaded.surprisals(ids, windows, at=np.array([3, 5]), targets=np.array([7, 8], np.int32))
    expected = -torch.log_softmax(torch.from_numpy(found), 1)[[0, 2], [7, 8]]
    assert_close(surprisals, expected.numpy())


@pytest.mark.parametrize("name", ["xlnet", "deberta-v2"])
def test_masked_tokens_are_refused_by_name_without_a_head(tmp_path: Path, name: str) -> None:
    loaded = encoder(save_random(tmp_path, KINDS[name]))
    ids, ptr = tokens([9])
    with pytest.raises(ModelError, match=f"no MLM head: transformers has none for a '{name}' model"):
        loaded.token_logits(ids, sentence_windows(ptr, range(1), 46, BERT_FRAME), wanted=np.array([3]))


def test_groups_are_joined_up_to_a_share_of_padding() -> None:
    groups = ((1, 10), (1, 9), (2, 9), (1, 5), (4, 4))
    assert list(joined(groups, 0.0)) == [[(1, 10)], [(1, 9), (2, 9)], [(1, 5)], [(4, 4)]]
    assert list(joined(groups, 0.1)) == [[(1, 10), (1, 9), (2, 9)], [(1, 5)], [(4, 4)]]
    assert [group for run in joined(groups, 9.0) for group in run] == list(groups)


def test_a_model_that_mixes_what_is_masked_into_other_vectors_is_not_padded(tmp_path: Path) -> None:
    sizes = {name: size for name, size in _SIZES.items() if name != "num_attention_heads"}
    mixing, masking = Kind("FNet", sizes, 48), KINDS["deberta-v2"]
    for name, kind, pads in (("a", mixing, False), ("b", masking, True)):
        network = encoder(save_random(tmp_path / name, kind)).network
        assert isinstance(network, GenericNetwork)
        assert network._may_pad is pads
