"""The MLM head of any encoder that transformers has one for, run on states that its body has computed.

The model is kept with a body that returns what it is given, so that its own code makes the logits. Whether that gives
the logits of the whole model is tried once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.family_weights import current_name
from polyseme.tasks.text.transformers_messages import silenced

_TOLERANCE = 1e-4


def names_masked_lm_head(checkpoint: Checkpoint) -> bool:
    """Return whether transformers has an MLM head for the model, and the files name all of its weights."""
    with silenced():
        from transformers import AutoConfig, AutoModelForMaskedLM
        from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

        if checkpoint.family.title not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
            return False
        try:
            config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
            with torch.device("meta"):
                empty: Any = AutoModelForMaskedLM.from_config(config)  # type: ignore[no-untyped-call]
        except Exception:  # a configuration that no model can be made of is refused when the body is loaded
            return False
    body = empty.base_model_prefix + "."
    tied = empty.all_tied_weights_keys
    needed = {name for name in empty.state_dict() if not name.startswith(body) and name not in tied}
    if not needed:  # the head is the embeddings: only the class that saved the files tells that there is one
        return type(empty).__name__ in (config.architectures or ())
    return needed <= {current_name(name) for name in checkpoint.shapes}


def load_masked_lm_head(checkpoint: Checkpoint, body: Any, ids: Tensor) -> MaskedLMHead | None:
    """Return the MLM head, float32 on CPU, None if there is none or it needs more than the states of `body`.

    `ids` `(1, length)` are run to find that out.
    """
    if not names_masked_lm_head(checkpoint):
        return None
    with silenced():
        from transformers import AutoModelForMaskedLM

        model, info = AutoModelForMaskedLM.from_pretrained(
            checkpoint.folder, dtype=torch.float32, use_safetensors=True, local_files_only=True,
            trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    prefix = model.base_model_prefix
    absent = {*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])}
    if any(not name.startswith(prefix + ".") for name in absent):
        return None
    model.eval()
    try:
        with torch.inference_mode():
            expected = model(input_ids=ids).logits
            states = getattr(model, prefix)(input_ids=ids).last_hidden_state
        _share_embeddings(model, body)
        setattr(model, prefix, _Given(body))
        head = MaskedLMHead(model)
        with torch.inference_mode():
            found = head(states[0])
    except (AttributeError, TypeError, ValueError, RuntimeError):  # it takes no states, or gives no logits
        return None
    fits = found.shape == expected[0].shape and torch.allclose(found, expected[0], atol=_TOLERANCE, rtol=_TOLERANCE)
    return head if fits else None


class MaskedLMHead(torch.nn.Module):
    """An MLM model whose body returns the states that it is given."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(n, hidden)` to logits `(n, vocabulary)`."""
        logits: Tensor = self.model(inputs_embeds=states[None]).logits
        return logits[0]


class _Given(torch.nn.Module):
    """A body whose output is its input; its embeddings, which some heads read, are those of the real `body`."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("body"), name)

    def forward(self, *_: object, inputs_embeds: Tensor, **options: object) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=inputs_embeds)


def _share_embeddings(model: Any, body: Any) -> None:
    """Make a head that is tied to the embeddings use those of `body`: one vocabulary in memory, not two."""
    decoder, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if decoder is not None and getattr(decoder, "weight", None) is embeddings.weight:
        decoder.weight = body.get_input_embeddings().weight
