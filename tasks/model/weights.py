"""The weights of a checkpoint, by BERT's names for them, and which heads it has.

Only safetensors. A head that the checkpoint lacks is reported as missing, never filled with random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyseme.storage.errors import ModelError
from polyseme.tasks.model.checkpoint import Checkpoint
from polyseme.tasks.model.checkpoint_checks import check_finite
from polyseme.tasks.model.families.bert import BERT
from polyseme.tasks.model.family_weights import read
from polyseme.tasks.model.safetensors_fast_path import read_complete
from polyseme.tasks.text.transformers_messages import silenced

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by their names in transformers' `BertForPreTraining`, and which heads the checkpoint has.

    Of BERTs only those with all three heads can have the order head (is a pair of sentences in order, or swapped?),
    which is not in transformers; ALBERT's is its sentence-order head. ELECTRA's discriminator tells replaced tokens.
    """

    tensors: dict[str, Tensor]
    has_nsp: bool
    has_mlm: bool
    has_order: bool = False
    has_discriminator: bool = False


def load_weights(checkpoint: Checkpoint) -> Weights:
    """Load a checkpoint, a BERT through transformers if the fast path cannot read it, and find its heads.

    Raises ModelError if the body itself is incomplete or unreadable, or weights are not finite.
    """
    _ = checkpoint.shapes  # before transformers takes memory for a model as large as config.json says
    weights = _load_bert(checkpoint) if checkpoint.family is BERT else _load_family(checkpoint)
    check_finite(checkpoint.folder, weights.tensors)
    return weights


def _load_bert(checkpoint: Checkpoint) -> Weights:
    plain = read_complete(checkpoint.weight_files, checkpoint.config)
    if plain is None:
        return _load_with_transformers(checkpoint)
    return Weights(plain, has_nsp=True, has_mlm=True, has_order="cls.order_relationship.weight" in plain)


def _load_family(checkpoint: Checkpoint) -> Weights:
    located = checkpoint.located
    tensors = read(checkpoint.weight_files, checkpoint.family, checkpoint.config, located)
    return Weights(tensors, *(head in located.heads for head in ("NSP", "MLM", "order", "discriminator")))


def _load_with_transformers(checkpoint: Checkpoint) -> Weights:
    import torch
    from transformers import BertForPreTraining

    try:
        with silenced():
            loaded: Any = BertForPreTraining.from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported as absent below, not kept
            )
    except Exception as error:
        raise ModelError(
            f"The weights in {checkpoint.folder} could not be loaded ({type(error).__name__}: {error}). "
            "The files may be damaged or belong to another architecture: fetch the checkpoint again or choose another."
        ) from error
    model, info = loaded
    absent = set(info["missing_keys"]) | {str(key[0]) for key in info["mismatched_keys"]}
    body = sorted(n for n in absent if n.startswith("bert.") and ".pooler." not in n)
    if body:
        raise ModelError(
            f"{checkpoint.label} lacks {len(body)} weights of the BERT body, or has them in another shape than in its "
            f"config.json (first: {body[0]}), so its vectors would be random. Choose a complete checkpoint."
        )
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in absent}
    has_nsp = not any(".pooler." in n or n.startswith("cls.seq_relationship") for n in absent)
    has_mlm = not any(n.startswith("cls.predictions") for n in absent)
    return Weights(tensors, has_nsp, has_mlm)
