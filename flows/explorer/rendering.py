"""Pages as HTML: templates, and how values are written in them.

Texts and names come from files that anybody may have written: all are escaped, and characters that no page should obey,
such as those that turn the direction of what follows, are shown by their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polyseme.flows.display.quantities import size
from polyseme.flows.display.terminal import escaped
from polyseme.flows.explorer.page import Content, Page, Parameters
from polyseme.flows.explorer.pages.all_pages import PAGES
from polyseme.storage.wording import many

STATIC = Path(__file__).parent / "static"
_LONGEST_CELL = 400


@dataclass(frozen=True, slots=True)
class Site:
    """What a page is part of: a server's pages, pages in files, or a page by itself.

    `link` takes the name of a page and its parameters, and returns an address, empty if there is no such page here.
    `folder` is the address of the folder of styles and scripts; None puts them into the page. `live` says that a server
    is there to answer forms.
    """

    title: str
    link: Callable[..., str]
    folder: str | None
    live: bool

    def styles(self, name: str) -> Markup:
        """Return the style sheet of this name for the head of a page."""
        if self.folder is None:
            return Markup("<style>{}</style>").format(Markup((STATIC / name).read_text("utf-8")))
        icon = Markup('<link rel="icon" href="{}icon.svg" type="image/svg+xml">').format(self.folder)
        return icon + Markup('<link rel="stylesheet" href="{}{}">').format(self.folder, name)

    def scripts(self, *names: str) -> Markup:
        """Return scripts for the end of a page."""
        if self.folder is not None:
            return Markup().join(Markup('<script src="{}{}"></script>').format(self.folder, name) for name in names)
        texts = ((STATIC / name).read_text("utf-8").replace("</script", "<\\/script") for name in names)
        return Markup().join(Markup("<script>{}</script>").format(Markup(text)) for text in texts)


@cache
def environment() -> Environment:
    """Return the templates."""
    made = Environment(
        loader=PackageLoader("polyseme.flows.explorer"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "moment": moment, "many": many, "records": _records, "cut": cut, "size": size}
    made.policies["json.dumps_kwargs"] = {"sort_keys": False, "default": _plain}
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def render(template: str, site: Site, **values: object) -> str:
    """Return a template filled in."""
    return environment().get_template(f"{template}.html").render(site=site, **values)


def render_page(page: Page, content: Content, site: Site, parameters: Parameters, twins: Mapping[str, str]) -> str:
    """Return a page as HTML; `twins` are the addresses of its data by their endings."""
    return render(
        page.name, site, here=page, menu=PAGES, content=content, tables=content.tables, twins=twins,
        given=dict(parameters.given), **content.more,
    )  # fmt: skip


def number(value: object, digits: int = 2) -> str:
    """Return a number for people: whole ones with commas, others rounded; nothing for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def moment(value: datetime | str | None) -> str:
    """Return a time to the minute, in UTC."""
    return "–" if value is None else f"{str(value)[:16].replace('T', ' ')} UTC"


def cut(value: object) -> str:
    """Return a cell of any kind on a few lines: a long text by its beginning, a vector by its first numbers."""
    if isinstance(value, list) and len(value) > 8:
        return f"[{', '.join(cut(item) for item in value[:3])}, … {len(value)}]"
    text = number(value, 4) if isinstance(value, float) else "NULL" if value is None else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _visible(value: object) -> object:
    if value is None:
        return ""
    return escaped(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _records(table: pa.Table, *names: str) -> list[dict[str, Any]]:
    """Return a table as records, with some of its columns."""
    found: list[dict[str, Any]] = (table.select(list(names)) if names else table).to_pylist()
    return found


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return str(value)
