"""The special tokens of a tokenizer: their names by role, and the frame that they make around a text.

Knows definitions as JSON objects, no tokenizers. Roles are transformers': `cls`, `sep`, `pad`, `mask`, `unk`, and for
some families `bos` and `eos`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.tokenizer_classes import AS_IT_IS, NAMES, Definition, content

ROLES = ("cls", "sep", "pad", "mask", "unk", "bos", "eos")
_DOUBLED = frozenset(
    {"RobertaTokenizer", "MPNetTokenizer", "XLMRobertaTokenizer", "CamembertTokenizer", "DebertaTokenizer"}
)
"""Classes with two separators between the sequences of a pair, all of one type."""
_BY_ENDS = frozenset({"XLMRobertaTokenizer", "CamembertTokenizer"})
"""Classes whose frame is made of `bos` and `eos`."""
_OWN_TEMPLATE = frozenset({"AlbertTokenizer", AS_IT_IS})
"""Classes that take the frame from `tokenizer.json`."""
SPECIALS = NAMES["BertTokenizer"]
"""The special tokens of BERT by role."""

Piece = tuple[str | None, int]
"""A part of a template: the name of a special token, None for a sequence; and its type."""


def special_names(
    name: str, definition: Definition, settings: Mapping[str, Any], special_map: Mapping[str, Any]
) -> dict[str, str]:
    """Return the names of the special tokens of a tokenizer of class `name`, by role, as far as it has them.

    `settings` is what `tokenizer_config.json` holds; `special_map` is `special_tokens_map.json`, which older
    checkpoints have.
    """
    found = dict(NAMES[name])
    if name == AS_IT_IS:
        pieces = vocabulary(definition)
        found = {role: token for role, token in SPECIALS.items() if token in pieces}
    sources = [settings] if "added_tokens_decoder" in settings else [settings, special_map]
    for source in sources:
        found |= {role: token for role in ROLES if (token := content(source.get(f"{role}_token"))) is not None}
    if "cls" not in found and "bos" in found:
        found["cls"] = found["bos"]
    if "sep" not in found and "eos" in found:
        found["sep"] = found["eos"]
    return found


def vocabulary(definition: Definition) -> dict[str, int]:
    """Return the id of every piece and added token of a definition. Raises ValueError for one that is malformed."""
    model = definition.get("model")
    pieces = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(pieces, list):
        found = {str(piece[0]): number for number, piece in enumerate(pieces)}
    elif isinstance(pieces, dict):
        found = dict(pieces)
    else:
        raise ValueError("it has no vocabulary")
    added = definition.get("added_tokens") or []
    found |= {token["content"]: token["id"] for token in added if isinstance(token, dict)}
    if not all(type(number) is int and 0 <= number < 2**31 for number in found.values()):
        raise ValueError("its vocabulary has ids that are not small integers")
    return found


def frame(name: str, definition: Definition, names: Mapping[str, str], ids: Mapping[str, int]) -> Frame:
    """Return the special tokens around a text. Raises ValueError, with what is wrong, if there is no such frame."""
    template = _template(definition.get("post_processor")) if name in _OWN_TEMPLATE else None
    if template is None:
        ends = ("bos", "eos") if name in _BY_ENDS else ("cls", "sep")
        missing = [role for role in ends if names.get(role) not in ids]
        if missing:
            raise ValueError(", ".join(names.get(role, f"{role}_token") for role in missing))
        first, last = (ids[names[role]] for role in ends)
        return Frame((first,), (last,) * (2 if name in _DOUBLED else 1), (last,), 0 if name in _DOUBLED else 1)
    return _framed(*template, ids)


def _framed(single: Sequence[Piece], pair: Sequence[Piece], ids: Mapping[str, int]) -> Frame:
    missing = [name for name, _ in [*single, *pair] if name is not None and name not in ids]
    if missing:
        raise ValueError(", ".join(dict.fromkeys(missing)))
    before, _, after = _parts(single, ids)
    if [name for name, _ in pair].count(None) != 2:
        return Frame(before, after, after)
    _, between, _ = _parts(pair, ids)
    second = [kind for name, kind in pair if name is None][1]
    return Frame(before, between, after, second)


def _parts(
    template: Sequence[Piece], ids: Mapping[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the ids before the first sequence, between the first and the last, and after the last."""
    places = [place for place, (name, _) in enumerate(template) if name is None]
    numbers = [-1 if name is None else ids[name] for name, _ in template]
    first, last = (places[0], places[-1]) if places else (0, -1)
    return tuple(numbers[:first]), tuple(numbers[first + 1 : last]), tuple(numbers[last + 1 :])


def _template(processor: object) -> tuple[list[Piece], list[Piece]] | None:
    """Return the templates for one sequence and for two that a post-processor writes; None if it writes none."""
    if not isinstance(processor, dict):
        return None
    kind = processor.get("type")
    if kind == "Sequence":
        found = [_template(step) for step in processor.get("processors") or []]
        return next((template for template in found if template is not None), None)
    if kind in ("BertProcessing", "RobertaProcessing"):
        first, last = str(processor["cls"][0]), str(processor["sep"][0])
        single: list[Piece] = [(first, 0), (None, 0), (last, 0)]
        if kind == "RobertaProcessing":
            return single, [*single, (last, 0), (None, 0), (last, 0)]
        return single, [*single, (None, 1), (last, 1)]
    if kind == "TemplateProcessing":
        return _pieces(processor["single"]), _pieces(processor["pair"])
    return None


def _pieces(template: Sequence[Mapping[str, Any]]) -> list[Piece]:
    found: list[Piece] = []
    for piece in template:
        special = piece.get("SpecialToken")
        found.append((None, piece["Sequence"]["type_id"]) if special is None else (special["id"], special["type_id"]))
    return found
