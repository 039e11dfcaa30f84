"""The input that was refused, and why."""

from __future__ import annotations

from polyseme.flows.explorer.page import Asked, Content, Page, Parameters

A_PAGE = 100
_CODES = "SELECT code, count(*) AS records FROM rejects GROUP BY code ORDER BY records DESC, code"
_REJECTS = """
SELECT code, uri, locator, stage, message, excerpt FROM rejects WHERE $code = '' OR code = $code
ORDER BY code, uri, locator LIMIT {limit} OFFSET {offset}"""


def load(lake: Asked, parameters: Parameters) -> Content:
    """Return one page of what was refused, of one code or of all."""
    page, code = parameters.number("page", 1, least=1), parameters.text("code")
    codes = lake.rows(_CODES)
    total = sum(row["records"] for row in codes if code in ("", row["code"]))
    found = lake.ask(_REJECTS.format(**parameters.rows(A_PAGE)), code=code)
    return Content("Rejects", {"rejects": found}, {"codes": codes, "code": code, "total": total, "page": page,
                                                   "pages": -(-total // A_PAGE)})  # fmt: skip


PAGE = Page("rejects", load, "Rejects")
