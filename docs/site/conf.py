"""The documentation as a site, as Sphinx and MyST build it: `make docs`. Which pages it has, and in what order.

The pages stay where they are and as a Git host shows them. The source folder is the root of the repository, so that
links such as `../README.md` lead somewhere; nothing but the pages named here is read, and pages load nothing from
elsewhere.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

NAVIGATION = {
    "Start": ["docs/gallery", "docs/concepts", "docs/cookbook", "examples/README"],
    "Use": [
        "docs/sources",
        "docs/formats",
        "docs/languages",
        "docs/sentences",
        "docs/models",
        "docs/training",
        "docs/sql",
        "docs/bench",
        "docs/meaning",
        "docs/explorer",
        "docs/export",
        "docs/python",
    ],
    "Run": [
        "docs/operations",
        "docs/cluster",
        "docs/storage",
        "docs/events",
        "docs/observability",
        "docs/reliability",
        "docs/security",
    ],
    "Reference": [
        "docs/configuration",
        "docs/data-model",
        "docs/api",
        "docs/performance",
        "docs/architecture",
        "models/polyseme-mini/README",
    ],
    "Contribute": ["CONTRIBUTING", "SECURITY", "CHANGELOG"],
}
HOME = "README"

project = "Polyseme"
author = "the authors of Polyseme"
project_copyright = "Apache-2.0"
html_title = "Polyseme"
extensions = ["myst_parser"]
root_doc = HOME
include_patterns = [f"{page}.md" for page in (HOME, *(page for pages in NAVIGATION.values() for page in pages))]
# Folders that have no page are not even walked: .venv has a hundred thousand files.
exclude_patterns = [
    each.name for each in ROOT.iterdir() if not any(page.split("/")[0] == each.name for page in include_patterns)
]
myst_heading_anchors = 6
suppress_warnings = ["misc.highlighting_failure"]  # `…` in a line of Python says what is left out

html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_toc_level": 2,
    "back_to_top_button": False,
}
html_sidebars = {"**": ["navigation.html"]}
html_context = {"default_mode": "auto"}
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Add what no setting of Sphinx says."""
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _copy_home)


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the pages' order behind the text of the README, where nobody reads it there."""
    if page == HOME:
        for caption, pages in NAVIGATION.items():
            home = ["What it is <self>"] if caption == "Start" else []
            entries = "\n".join([*home, *(f"/{each}" for each in pages)])
            source[0] += f"\n\n```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{entries}\n```\n"


def _copy_home(app: Sphinx, error: Exception | None) -> None:
    """Make the README what the site opens with: the two lie in one folder, so that its links hold."""
    if error is None and app.builder.name == "html":
        shutil.copyfile(Path(app.outdir) / f"{HOME}.html", Path(app.outdir) / "index.html")
