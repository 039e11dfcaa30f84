"""Options that many commands share, with their help."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

LakeOption = Annotated[str, Parameter(help="The lake: a folder, or a URL such as s3://bucket/lake.")]
CatalogOption = Annotated[
    str | None,
    Parameter(
        name="--catalog",
        help="The database of the lake's catalog, postgresql+psycopg://user@host/database, where it is not in the "
        "lake's folder. A lake remembers it; only what makes a lake has to say it. See docs/storage.md for passwords.",
    ),
]
