"""What stands before a stop like an abbreviation or an initial and is none: units, letters that name something, words.

Patterns of the text around a stop, each of a bounded number of characters. Decides nothing else.
"""

from __future__ import annotations

import re

BEFORE = 40
"""Characters before the stop that are looked at."""

_UNIT = re.compile(r"\d (?:[mgstlhk]|[nµμmp][smlgm]|min|ft|in|yd|lb|oz|mph|kph|[GMk]a)\Z")
"""A number and its unit; some units are abbreviations or words else."""
_VARIABLE = re.compile(r"(?:.*\s)?[\"'“‘(]?[aegijkoqtuwxyzα-ω]\Z", re.DOTALL)
"""A single letter that abbreviates nothing in English, but is what something is called."""
_LETTERED = re.compile(
    r"(?:\b[A-Z],? (?:and|or|&|to)|\b(?:[Ll]etters?|[Vv]itamins?|[Tt]ypes?|[Cc]lass|[Gg]rade|[Pp]lan|[Pp]oints?"
    r"|[Hh]epatitis|[Gg]roup)) [A-Z]\Z"
)
"""What is called by a capital letter, which is no initial."""
_I_AND_VERB = re.compile(
    r"I (?:am|was|do|did|don['’]t|didn['’]t|have|had|haven['’]t|can|can['’]t|cannot|could|couldn['’]t|will|won['’]t"
    r"|would|wouldn['’]t|should|shall|must|may|might|never|always|just|only|really|know|knew|think|thought|mean|see|saw"
    r"|want|need|like|love|hope|fear|guess|suppose|believe|feel|felt|say|said|tell|told)\b"
)
"""`I` that is a person and not the number one: behind `no.`, `chap.` and so on."""
_AND_SO_ON = re.compile(r"\bт\. [дп]\Z")
"""`и т. д.`, of which the last letter abbreviates something else by itself."""
_HALF_OF_DAY = re.compile(r"\d ?[ap]\.m\Z")
_OF_A_TIME = re.compile(
    r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?s?\b|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r"|[A-Z]{2,4}\b|Eastern|Central|Mountain|Pacific|Atlantic|Greenwich|Zulu|Tonight"
)
"""What goes on behind a time of the day: a day, a month, a zone."""


def is_measure(text: str, begin: int, stop: int) -> bool:
    """Return whether a number with a unit stands before `stop`, in a sentence that began at `begin`."""
    return bool(_UNIT.search(text[max(begin, stop - 6) : stop]))


def is_name(text: str, begin: int, stop: int) -> bool:
    """Return whether the letter before `stop` is what something is called, in English: `on x`, `B and C`, `type A`."""
    part = text[max(begin, stop - BEFORE) : stop]
    return bool(_LETTERED.search(part) if part[-1:].isupper() else _VARIABLE.match(part[-3:]))


def ends_a_list(text: str, begin: int, stop: int) -> bool:
    """Return whether *and so on* stands before `stop`, in two words."""
    return bool(_AND_SO_ON.search(text[max(begin, stop - 6) : stop]))


def is_time(text: str, begin: int, stop: int, after: int) -> bool:
    """Return whether a time of the day ends before `stop`, and nothing of it at `after` behind."""
    return bool(_HALF_OF_DAY.search(text[max(begin, stop - 6) : stop])) and not _OF_A_TIME.match(text, after)


def says_i(text: str, start: int, limit: int) -> bool:
    """Return whether `I` at `start` is a person who does something."""
    return bool(_I_AND_VERB.match(text, start, min(limit, start + BEFORE)))
