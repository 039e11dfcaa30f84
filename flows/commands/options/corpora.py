"""Options that name corpora of `polyseme.toml`, whose tables have the settings, and what does not go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import DOCUMENTS
from polyseme.storage.errors import UsageError

_NAMING = ("--corpus", "--all-corpora")
_GOING_WITH = (*_NAMING, "--delete-limit")
_REPORTING = ("--json", "--verbose", "--strict", "--dry-run")


@Parameter(name="*", group=DOCUMENTS)
@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusOptions:
    """Which corpora of `polyseme.toml`, instead of sources."""

    corpus: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Embed a corpus of polyseme.toml, [corpus.NAME], with the settings of its table, e.g. news. May be repeated."""

    all_corpora: Annotated[bool, Parameter(negative="")] = False
    """Embed every corpus of polyseme.toml. One that fails does not stop the others."""

    @property
    def given(self) -> bool:
        """Whether corpora are to be embedded, and not sources."""
        return bool(self.corpus or self.all_corpora)


def settings_of_corpora(app: Any, commands: tuple[str, ...], arguments: Any) -> None:
    """Leave the settings of `embed --corpus` to the table of the corpus: a cyclopts configuration, the last one.

    Raises UsageError for a flag that the table sets. What the environment or other tables set does not count.
    """
    if commands != ("embed",):
        return
    found = {argument.name: argument for argument in arguments}
    if not any(found[name].tokens for name in _NAMING):
        return
    for name, argument in found.items():
        if name in _REPORTING:
            continue
        if any(token.source == "cli" for token in argument.tokens):
            if name in _GOING_WITH:
                continue
            raise UsageError(
                f"{name if name.startswith('-') else 'A source'} does not go with --corpus and --all-corpora: what to "
                "embed and how is in the table of each corpus, [corpus.NAME] in polyseme.toml."
            )
        if name not in _NAMING:
            argument.tokens.clear()
