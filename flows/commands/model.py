"""`polyseme tokens`, `nsp` and `fill-mask`: predictions of a model, without a lake."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from polyseme.flows.commands.options.model import Model, ModelOptions
from polyseme.flows.commands.options.running import JsonOrNot
from polyseme.flows.display.output import write_json, write_table
from polyseme.storage.errors import UsageError
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig


def tokens(text: str, *, model: Model = "polyseme-mini", json: JsonOrNot = False) -> None:
    """Show the WordPiece tokens of a text: each with its id, its characters and the word it belongs to.

    Example: polyseme tokens "unbelievableness"

    Parameters
    ----------
    text
        Any text. It is normalised as documents are (Unicode NFC).
    """
    from polyseme.tasks.reading.normalization import normalise

    rows = [asdict(token) for token in Engine(EngineConfig(model=model)).wordpiece.explain(normalise(text))]
    write_json(rows) if json else write_table(pa.Table.from_pylist(rows), "table")


def nsp(first: str, second: str, *, model: ModelOptions = ModelOptions(), json: JsonOrNot = False) -> None:
    """Score whether SECOND follows FIRST, by BERT's Next Sentence Prediction.

    Shows both logits, their difference (margin) and the probability. A probability near 1 means that the two fit
    together, in topic above all; it does not prove that they are in the right order.

    Example: polyseme nsp "He went to the store." "He bought some milk."

    Parameters
    ----------
    first
        A sentence.
    second
        The sentence that may follow it.
    """
    from polyseme.tasks.inference.predictions import next_sentence

    answer = next_sentence(model.engine(), [(first, second)])[0]
    write_json(asdict(answer)) if json else write_table(pa.Table.from_pylist([asdict(answer)]), "table")


def fill_mask(
    text: str,
    *,
    k: Annotated[int, Parameter(alias="-k", help="Candidates to show for each mask.")] = 5,
    targets: Annotated[
        str | None, Parameter(help="Score these words alone, separated by commas: cat,dog. Each must be one token.")
    ] = None,
    model: ModelOptions = ModelOptions(),
    json: JsonOrNot = False,
) -> None:
    """Predict the token behind each [MASK] of a text, by BERT's Masked Language Model; each mask independently.

    Example: polyseme fill-mask "The [MASK] of France is Paris." -k 3

    Parameters
    ----------
    text
        A text with at least one [MASK].
    """
    from polyseme.tasks.inference.predictions import fill_masks

    wanted = None if targets is None else [word.strip() for word in targets.split(",") if word.strip()]
    if wanted == []:
        raise UsageError("--targets names no word. Give one or several with commas between: --targets cat,dog")
    rows = [asdict(answer) for answer in fill_masks(model.engine(), text, k=k, targets=wanted)]
    write_json(rows) if json else write_table(pa.Table.from_pylist(rows), "table")
