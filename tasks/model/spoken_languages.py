"""The languages that a checkpoint was made for, if its model card says so: `language` at the top of its README.md.

Only a card with every language by its code of ISO 639 says anything: `multilingual` and names of other kinds do not.
"""

from __future__ import annotations

import re
from pathlib import Path

_CARD = "README.md"
_MOST_BYTES = 1 << 18
"""What is read of a card: the top of one that names a hundred languages has a few thousand."""
_TOP = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"([a-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})*")

_KIN = (frozenset(("no", "nb", "nn")), frozenset(("sr", "hr", "bs", "sh", "hbs")))
"""Codes of what is close to one language: who names one of them speaks all."""


def spoken_languages(folder: Path) -> frozenset[str]:
    """Return the codes of ISO 639 that the model card in `folder` names, and their kin; none if it does not say."""
    try:
        with (folder / _CARD).open("rb") as card:
            text = card.read(_MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return frozenset()
    top = _TOP.match(text)
    if top is None:
        return frozenset()
    import yaml

    try:
        stated = yaml.load(top[1], Loader=yaml.BaseLoader)  # every value a string: `no` is Norwegian
    except (yaml.YAMLError, RecursionError):
        return frozenset()
    named = stated.get("language") if isinstance(stated, dict) else None
    codes = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    found = [_CODE.fullmatch(code) if isinstance(code, str) else None for code in codes]
    if not all(found):
        return frozenset()
    spoken = frozenset(code[1] for code in found if code)
    return spoken.union(*(kin for kin in _KIN if kin & spoken))
