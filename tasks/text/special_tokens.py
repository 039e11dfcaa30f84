"""The special tokens of a tokenizer: their names by role, and the frame that they make around a text.

Knows definitions as JSON objects, no tokenizers. Roles are transformers': `cls`, `sep`, `pad`, `mask`, `unk`, and for
some families `bos` and `eos`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from polyseme.storage.errors import ModelError
from polyseme.tasks.text.frames import Frame
from polyseme.tasks.text.tokenizer_classes import AS_IT_IS, NAMES, Definition, content
from polyseme.tasks.text.tokenizer_definition import model_kind

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


class _Piece(NamedTuple):
    """A part of a template: the name of a special token, None for a sequence; its ids, which win over those of its
    name in the vocabulary; and its type."""

    name: str | None = None
    ids: tuple[int, ...] = ()
    kind: int = 0


def special_names(name: str, definition: Definition, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the special tokens of a tokenizer of class `name`, by role, as far as it has them."""
    found = dict(NAMES[name])
    if name == AS_IT_IS:
        pieces = vocabulary(definition)
        found = {role: token for role, token in SPECIALS.items() if token in pieces}
    found |= {role: token for role in ROLES if (token := content(settings.get(f"{role}_token"))) is not None}
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
    found |= _added(found, definition.get("added_tokens") or [])
    if not all(type(number) is int and 0 <= number < 2**31 for number in found.values()):
        raise ValueError("its vocabulary has ids that are not small integers")
    return found


def _added(pieces: Mapping[str, int], added: Sequence[Any]) -> dict[str, int]:
    """Return the ids that `tokenizers` gives to added tokens, whatever their file says: those of their pieces, or the
    next ones."""
    found: dict[str, int] = {}
    for token in added:
        if isinstance(token, dict):
            following = max(len(pieces), max(found.values(), default=-1) + 1)
            found.setdefault(token["content"], pieces.get(token["content"], following))
    return found


def frame(name: str, definition: Definition, names: Mapping[str, str], ids: Mapping[str, int]) -> Frame:
    """Return the special tokens around a text, an empty frame if there are none.

    Raises ValueError, with the names of those that the vocabulary lacks, and ModelError for a frame with types that no
    window here has.
    """
    template = _template(definition.get("post_processor")) if name in _OWN_TEMPLATE else None
    if template is not None:
        return _framed(*template, ids)
    if name == AS_IT_IS and model_kind(definition["model"]) != "WordPiece":
        return Frame((), (), ())  # WordPiece tokenizers had BERT's in earlier releases, whose lakes go on
    ends = ("bos", "eos") if name in _BY_ENDS else ("cls", "sep")
    missing = [role for role in ends if names.get(role) not in ids]
    if missing:
        raise ValueError(", ".join(names.get(role, f"{role}_token") for role in missing))
    first, last = (ids[names[role]] for role in ends)
    return Frame((first,), (last,) * (2 if name in _DOUBLED else 1), (last,), 0 if name in _DOUBLED else 1)


def _framed(single: Sequence[_Piece], pair: Sequence[_Piece], ids: Mapping[str, int]) -> Frame:
    missing = [piece.name for piece in [*single, *pair] if piece.name is not None and piece.name not in ids]
    if missing:
        raise ValueError(", ".join(dict.fromkeys(missing)))
    if any(piece.kind for piece in single):
        raise ModelError(
            "The tokenizer's post_processor gives the special tokens of one text a type other than 0, as Funnel's "
            "does. Polyseme has no such windows, so vectors would not be those of the model. Choose another checkpoint."
        )
    before, _, after = _parts(single)
    if [piece.name for piece in pair].count(None) != 2:
        return Frame(before, after, after)
    _, between, _ = _parts(pair)
    second = [piece.kind for piece in pair if piece.name is None][1]
    return Frame(before, between, after, second)


def _parts(template: Sequence[_Piece]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the ids before the first sequence, between the first and the last, and after the last."""
    places = [place for place, piece in enumerate(template) if piece.name is None]
    first, last = (places[0], places[-1]) if places else (0, -1)
    return _ids(template[:first]), _ids(template[first + 1 : last]), _ids(template[last + 1 :])


def _ids(pieces: Sequence[_Piece]) -> tuple[int, ...]:
    return tuple(number for piece in pieces for number in piece.ids)


def _template(processor: object) -> tuple[list[_Piece], list[_Piece]] | None:
    """Return the templates for one sequence and for two that a post-processor writes; None if it writes none."""
    if not isinstance(processor, dict):
        return None
    kind = processor.get("type")
    if kind == "Sequence":
        found = [_template(step) for step in processor.get("processors") or []]
        return next((template for template in found if template is not None), None)
    if kind in ("BertProcessing", "RobertaProcessing"):
        first, last = (_Piece(str(processor[end][0]), (int(processor[end][1]),)) for end in ("cls", "sep"))
        single = [first, _Piece(), last]
        if kind == "RobertaProcessing":
            return single, [*single, last, _Piece(), last]
        return single, [*single, _Piece(kind=1), last._replace(kind=1)]
    if kind == "TemplateProcessing":
        return _pieces(processor, "single"), _pieces(processor, "pair")
    return None


def _pieces(processor: Mapping[str, Any], part: str) -> list[_Piece]:
    found = []
    for piece in processor[part]:
        special = piece.get("SpecialToken")
        if special is None:
            found.append(_Piece(kind=piece["Sequence"]["type_id"]))
        else:
            numbers = processor["special_tokens"][special["id"]]["ids"]
            found.append(_Piece(special["id"], tuple(map(int, numbers)), special["type_id"]))
    return found
