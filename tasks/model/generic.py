"""Any encoder through transformers' own forward: slower than the packed networks, and right.

Sequences of about one length run together: a few are padded to the longest and masked, if the model keeps what is
masked out of the other vectors, which is tried once. A vector may differ from that of another batch in its last bits,
because products of other sizes are summed in another order; nothing else of a batch has an influence. Layers above
those that vectors are taken from are not run if a copy of the model without them gives the same states, tried once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from polyseme.storage.errors import ModelError
from polyseme.storage.layers import LayerSpan
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.checkpoint_checks import check_finite
from polyseme.tasks.model.generic_heads import load_masked_lm_head
from polyseme.tasks.model.lower_layers import without_upper_layers
from polyseme.tasks.model.packed import PackedBatch
from polyseme.tasks.text.transformers_messages import silenced

_PADDING = 0.08
"""Padding of a batch, as a share of its tokens. More forwards of fewer sequences cost more than this."""
_PROBE = 5
"""Tokens of the sequence that is run once to see what a model gives."""
_MOST_MISSING = 2
"""A model that has more than this many times the numbers that its files hold is of another size."""
_RANDOM = frozenset(("reformer", "perceiver", "tapas"))
"""Models whose forward draws random numbers, gives no vector for each token, or needs more than text."""


class GenericNetwork:
    """A model of transformers on one device, with its MLM head if there is one that can be used."""

    def __init__(self, checkpoint: Checkpoint, *, span: LayerSpan, dtype: torch.dtype, device: torch.device) -> None:
        """Load it. Raises ModelError if transformers does not run it as an encoder, or weights are missing.

        Vectors are the mean of the layers of `span`: of `hidden_states`, or the model's output for the top one alone.
        """
        self.dtype, self.hidden, self.span = dtype, checkpoint.width, span
        self._is_output = span == LayerSpan(checkpoint.layers, checkpoint.layers)
        self._model = _load(checkpoint).to(device=device, dtype=dtype).eval()
        parameters = inspect.signature(self._model.forward).parameters
        types = getattr(self._model.config, "type_vocab_size", 0) or 0
        self._types = int(types) if "token_type_ids" in parameters else 0
        self._needs_mask = "attention_mask" in parameters
        pad = getattr(self._model.config, "pad_token_id", 0)
        self._pad = pad if type(pad) is int and 0 <= pad < int(checkpoint.config["vocab_size"]) else 0
        self._check(checkpoint, device)
        self._lower = self._model if self._is_output else self._without_upper_layers(checkpoint, device)
        head = load_masked_lm_head(checkpoint, self._model, self._probe(checkpoint, device))
        self._head = None if head is None else head.to(device=device, dtype=dtype).eval()
        self.has_mlm = head is not None

    def vector_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the mean of the outputs of the layers of `span`."""
        if self._is_output:
            return self.hidden_states(batch)
        return self._by_groups(
            self._lower, batch, lambda output: torch.stack(self._of_span(output)).mean(0), all_layers=True
        )

    def vector_and_first_states(self, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return `vector_states` and, `(sequences, hidden)`, the first row of each sequence."""
        return self.vector_states(batch), self.first_states(batch)

    def hidden_states(self, batch: PackedBatch) -> Tensor:
        """Return `(tokens, hidden)`: the output of the model."""
        return self._by_groups(self._model, batch, lambda output: output.last_hidden_state, all_layers=False)

    def first_states(self, batch: PackedBatch) -> Tensor:
        """Return `(sequences, hidden)`: the first row of each sequence."""
        return self.chosen_states(batch, batch.starts)

    def chosen_states(self, batch: PackedBatch, rows: Tensor) -> Tensor:
        """Return `(sequences, hidden)`: one row of the output per sequence."""
        return self.hidden_states(batch)[rows]

    def pair_scores(self, first: Tensor) -> Tensor:
        """Return NaN `(n, 3)`: there is no head."""
        return torch.full((len(first), 3), torch.nan, dtype=torch.float32, device=first.device)

    def vector_states_and_replaced(self, batch: PackedBatch) -> Tensor:
        """Raise NotImplementedError: callers ask first whether there is a head."""
        raise NotImplementedError

    def masked_lm_logits(self, states: Tensor) -> Tensor:
        """Map token states `(n, hidden)` to vocabulary logits `(n, vocabulary)`. Callers ask first for `has_mlm`."""
        assert self._head is not None
        logits: Tensor = self._head(states)
        return logits

    def _of_span(self, output: Any) -> tuple[Tensor, ...]:
        states: tuple[Tensor, ...] = output.hidden_states[self.span.first : self.span.last + 1]
        return states

    def _by_groups(self, model: Any, batch: PackedBatch, taken: Callable[[Any], Tensor], *, all_layers: bool) -> Tensor:
        parts, row = [], 0
        for groups in joined(batch.groups, _PADDING if self._may_pad else 0.0):
            shape = sum(count for count, _ in groups), groups[0][1]
            ids, types = batch.ids.new_full(shape, self._pad), batch.types.new_zeros(shape)
            mask, places, done = torch.zeros_like(ids), list[tuple[slice, int]](), 0
            for count, length in groups:
                rows, place = slice(row, row + count * length), slice(done, done + count)
                for padded, values in ((ids, batch.ids), (types, batch.types)):
                    padded[place, :length] = values[rows].view(count, length)
                mask[place, :length] = 1
                places.append((place, length))
                row, done = rows.stop, place.stop
            output = taken(self._forward(model, ids, types, mask, all_layers=all_layers))
            parts += [output[place, :length].reshape(-1, self.hidden) for place, length in places]
        return torch.cat(parts)

    def _forward(self, model: Any, ids: Tensor, types: Tensor, mask: Tensor, *, all_layers: bool) -> Any:
        options: dict[str, object] = {"attention_mask": mask} if self._needs_mask else {}
        if self._types:
            options["token_type_ids"] = types.clamp_max(self._types - 1)
        return model(input_ids=ids, output_hidden_states=all_layers, **options)

    def _check(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Raise ModelError unless the model gives one vector for each token, of the size in `config.json`."""
        ids = self._probe(checkpoint, device)
        length = ids.shape[1]
        mask = torch.ones_like(ids)
        try:
            with torch.inference_mode():
                output = self._forward(self._model, ids, torch.zeros_like(ids), mask, all_layers=True)
            found = tuple(output.last_hidden_state.shape)
            layers = len(output.hidden_states) - 1
        except Exception as error:
            raise _not_an_encoder(checkpoint, f"its forward fails ({type(error).__name__}: {error})") from error
        if found != (1, length, self.hidden):
            raise _not_an_encoder(checkpoint, f"it gives {found} for {length} tokens of {self.hidden}")
        self._may_pad = self._needs_mask and self._keeps_padding_out(ids, output.last_hidden_state)
        same_length = layers == checkpoint.layers and all(states.shape == found for states in self._of_span(output))
        if not self._is_output and not same_length:
            # So it is in models that shorten sequences.
            raise ModelError(
                f"The layers of {checkpoint.label} do not have a vector for each token. Use --layers last."
            )

    def _without_upper_layers(self, checkpoint: Checkpoint, device: torch.device) -> Any:
        ids = self._probe(checkpoint, device)

        def run(model: Any) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                output = self._forward(model, ids, torch.zeros_like(ids), torch.ones_like(ids), all_layers=True)
            states: tuple[Tensor, ...] = output.hidden_states
            return states

        return without_upper_layers(self._model, checkpoint.layers, self.span.last, run)

    def _probe(self, checkpoint: Checkpoint, device: torch.device) -> Tensor:
        """Return a few ids, `(1, length)`, none of them padding."""
        length = min(_PROBE, checkpoint.max_tokens)
        vocabulary = int(checkpoint.config["vocab_size"])
        return (self._pad + 1 + torch.arange(length, device=device)[None]) % vocabulary

    def _keeps_padding_out(self, ids: Tensor, alone: Tensor) -> bool:
        """Return whether the states of `ids` `(1, length)` are those that they have `alone` if padding follows."""
        padded = torch.nn.functional.pad(ids, (0, 2), value=self._pad)
        mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 2))
        with torch.inference_mode():
            states = self._forward(
                self._model, padded, torch.zeros_like(padded), mask, all_layers=False
            ).last_hidden_state
        length, tolerance = ids.shape[1], 1e-4 if self.dtype == torch.float32 else 5e-2
        same = states.shape[1] == length + 2 and torch.allclose(
            states[:, :length], alone, atol=tolerance, rtol=tolerance
        )
        return bool(same)


def joined(groups: Sequence[tuple[int, int]], most: float) -> Iterator[list[tuple[int, int]]]:
    """Yield runs of `groups` (sequences, length), longest first, that padding makes at most a share `most` larger."""
    run: list[tuple[int, int]] = []
    for group in groups:
        wider = [*run, group]
        tokens = sum(count * length for count, length in wider)
        if run and sum(count for count, _ in wider) * wider[0][1] > (1 + most) * tokens:
            yield run
            run = []
        run.append(group)
    if run:
        yield run


def require_runnable(checkpoint: Checkpoint) -> None:
    """Raise ModelError unless transformers, without code from the checkpoint, has this model as an encoder of text."""
    model_type = checkpoint.family.title
    with silenced():
        from transformers.models.auto.modeling_auto import (
            MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            MODEL_FOR_MASKED_LM_MAPPING_NAMES,
            MODEL_MAPPING_NAMES,
        )
    if model_type not in MODEL_MAPPING_NAMES:
        code = " It has code of its own (auto_map), which Polyseme never runs."
        own = code if "auto_map" in checkpoint.config else ""
        raise _not_an_encoder(checkpoint, "the installed transformers has no model of that name." + own)
    causal = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    if (causal and model_type != "xlnet") or checkpoint.config.get("is_decoder"):
        raise _not_an_encoder(checkpoint, "it is a decoder, in which a word does not see what follows it")
    if checkpoint.config.get("is_encoder_decoder") or model_type in _RANDOM:
        raise _not_an_encoder(checkpoint, "it is not an encoder with one vector for each token of a text")


def _load(checkpoint: Checkpoint) -> Any:
    require_runnable(checkpoint)
    _ = checkpoint.weight_files
    stored = sum(_numbers(shape) for shape in checkpoint.shapes.values())
    with silenced():
        from transformers import AutoConfig, AutoModel

        try:
            config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
            with torch.device("meta"):
                empty: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
            needed = sum(tensor.numel() for tensor in empty.parameters())
            if needed > _MOST_MISSING * stored:
                raise ValueError(f"config.json describes {needed:,} numbers, the files hold {stored:,}")
            model, info = AutoModel.from_pretrained(
                checkpoint.folder, config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True,
                trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
        except Exception as error:
            raise ModelError(
                f"The weights in {checkpoint.folder} could not be loaded ({type(error).__name__}: {error}). The files "
                "may be damaged or belong to another architecture: fetch the checkpoint again or choose another."
            ) from error
    absent = {*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])}
    body = sorted(name for name in absent if "pooler" not in name)
    if body:
        raise ModelError(
            f"{checkpoint.label} lacks {len(body)} weights of the {checkpoint.family.title} body, or has them in "
            f"another shape than in its config.json (first: {body[0]}), so its vectors would be random. Choose a "
            "complete checkpoint."
        )
    check_finite(checkpoint.folder, {name: t for name, t in model.state_dict().items() if t.is_floating_point()})
    return model


def _numbers(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _not_an_encoder(checkpoint: Checkpoint, why: str) -> ModelError:
    return ModelError(
        f"{checkpoint.label} is a '{checkpoint.family.title}' model, which Polyseme cannot run: {why.rstrip('.')}. "
        "Choose an encoder, for example google-bert/bert-base-uncased or the embedded polyseme-mini."
    )
