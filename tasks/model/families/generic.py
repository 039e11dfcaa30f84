"""Every family without a packed network: what `config.json` alone says of it, and whether transformers runs it.

Sizes go by several names. They are read from the file, so that neither transformers nor torch is imported to recognise
an unchanged corpus; whether the model can be run is found out before anything is encoded.
"""

from __future__ import annotations

from typing import Any

from polyseme.tasks.model.families.family import Config, Family

_NAMES = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("hidden_size", "d_model", "dim", "emb_dim", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "n_layers", "num_layers", "n_layer"),
    "intermediate_size": ("intermediate_size", "d_inner", "hidden_dim"),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
}
_NEEDED = ("vocab_size", "hidden_size", "num_hidden_layers")
_LIMIT = "max_tokens_without_positions"
_NO_LIMIT = 512
"""Tokens of a window where positions are relative and `config.json` gives no limit."""
_BEHIND_PADDING = frozenset(
    ("data2vec-text", "esm", "ibert", "longformer", "luke", "roberta-prelayernorm", "xlm-roberta-xl", "xmod")
)
"""Models whose positions begin behind the id of the padding token, as RoBERTa's."""


def generic_family(model_type: str, stored: Config) -> Family:
    """Return the family of a `config.json` whose `model_type` has no packed network."""
    fields = {name: next((own for own in names if own in stored), name) for name, names in _NAMES.items()}
    defaults = _asked(model_type, stored, [name for name in _NEEDED if fields[name] not in stored])
    if fields["intermediate_size"] not in stored:
        fields["intermediate_size"] = fields["hidden_size"]
    limit = stored.get(fields["max_position_embeddings"])
    if fields["max_position_embeddings"] not in stored or limit in (None, -1):
        fields["max_position_embeddings"], defaults[_LIMIT] = _LIMIT, _NO_LIMIT
    return Family(
        title=model_type,
        model_types=(model_type,),
        defaults=defaults,
        kind="generic",
        fields=fields,
        first_position=_first_position if model_type in _BEHIND_PADDING else lambda config: 0,
    )


def _asked(model_type: str, stored: Config, missing: list[str]) -> dict[str, object]:
    """Return the values of `missing` fields that transformers knows for such a configuration, if it knows the model."""
    if not missing:
        return {}
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    try:
        known: Any = CONFIG_MAPPING[model_type].from_dict(dict(stored))
    except Exception:  # what is missing is refused by name
        return {}
    return {name: getattr(known, name, None) for name in missing}


def _first_position(config: Config) -> int:
    padding = config.get("pad_token_id", 1)
    return 1 + padding if type(padding) is int else 2
