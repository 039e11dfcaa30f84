"""Whether a run can make the lemmas that documents of its encoding have: asked before anything is encoded."""

from __future__ import annotations

from polyseme.storage.catalog import Catalog
from polyseme.tasks.engine import Engine


def require_lemmas(catalog: Catalog, engine: Engine) -> None:
    """Raise ModelError if documents of the encoding have lemmas and the package that finds them is not installed.

    A document that changes keeps what it had, so that it needs lemmas although nobody asks for them now.
    """
    if any(made.lemma for made in catalog.outputs(engine.spec.encoding_id)):
        _ = engine.lemmatizer
