"""XML, event by event: names without their namespaces, no entities of its own, no other files, in little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.parsers import expat

from polyseme.tasks.reading.parsing.parsed import corrupt

_MOST_DEPTH = 10_000
Start = Callable[[str, Mapping[str, str]], None]


def read_xml(chunks: Iterable[bytes], *, start: Start, end: Callable[[str], None], text: Callable[[str], None]) -> None:
    """Call `start`, `end` and `text` for what comes. Refuses XML that is damaged or declares entities.

    Names of elements and attributes are local: `p` whatever its namespace.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth = 0

    def started(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise corrupt(f"elements nested deeper than {_MOST_DEPTH:,}")
        # Of two with one local name that of a namespace stays: the relation of a slide, not its number.
        plain_first = sorted(attributes.items(), key=lambda attribute: " " in attribute[0])
        start(local(name), {local(key): value for key, value in plain_first})

    def ended(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(local(name))

    def declared(*_: Any) -> None:
        raise corrupt("it declares entities, which are not expanded")

    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = declared
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two of an encoding that it names
        raise corrupt(f"XML: {str(error)[:80]}") from error


def local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition(" ")[2]


def fields_of(chunks: Iterable[bytes], names: Mapping[str, str], *, within: str | None = None) -> dict[str, str]:
    """Return the text of the first element of each of `names`, under the name that these give it.

    With `within` only those inside of that element are looked at.
    """
    found: dict[str, str] = {}
    open_: list[str] = []
    current: list[str] = []

    def start(name: str, _: Mapping[str, str]) -> None:
        open_.append(name)
        current.clear()

    def end(name: str) -> None:
        open_.pop()
        if name in names and (within is None or within in open_) and (value := " ".join("".join(current).split())):
            found.setdefault(names[name], value)
        current.clear()

    read_xml(chunks, start=start, end=end, text=current.append)
    return found
