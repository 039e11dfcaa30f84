"""Exported pages: files that need no server, whose links lead to files that are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from polyseme.flows.cli import main
from polyseme.flows.explorer.live_lake import LiveLake
from polyseme.flows.explorer.report import report
from polyseme.storage.lake import Lake
from tests import embedded_lakes
from tests.flows.explorer.conftest import ATTACKS
from tests.flows.explorer.reading import Reading


def exported(capfd: pytest.CaptureFixture[str], lake: Lake, folder: Path, *more: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["explore", "--lake", str(lake.root), "--export", str(folder), *more])
    return int(ended.value.code or 0), "".join(capfd.readouterr())


def test_all_links_lead_to_files_and_nothing_is_loaded_from_elsewhere(
    shown_lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, said = exported(capfd, shown_lake, tmp_path / "site", "--page", "/", "--page", "/word?w=bank", "--depth", "2")
    assert code == 0
    assert "index.html" in said
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert len(pages) > 15
    for path in pages:
        html = path.read_text("utf-8")
        page = Reading(html)
        assert page.open == []
        assert "" not in page.links
        for place in [*page.links, *page.loaded]:
            file = unquote(place.partition("#")[0])
            assert not file or (path.parent / file).is_file(), f"{path.name} leads to {place}"
        assert not any(name.startswith("on") for name in page.attributes)
        assert all(script.get("src", "").startswith("static/") for script in page.scripts if "type" not in script)
        assert "<form" not in html
    assert any("document-" in link for link in Reading((tmp_path / "site/documents.html").read_text("utf-8")).links)


def test_only_what_is_asked_for_is_written(shown_lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, said = exported(capfd, shown_lake, tmp_path / "a", "--page", "/documents", "--depth", "0")
    assert (code, [p.name for p in (tmp_path / "a").glob("*.html")]) == (0, ["documents.html"])
    assert Reading((tmp_path / "a/documents.html").read_text("utf-8")).links[1:] == [
        "documents.html",
        "documents.json",
        "documents.csv",
    ]
    code, said = exported(capfd, shown_lake, tmp_path / "b", "--page", "/documents", "--most", "3")
    assert (code, len(list((tmp_path / "b").glob("*.html")))) == (0, 3)
    assert "more" in said


def test_comparisons_are_written_where_there_is_something_to_compare(
    shown_lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, said = exported(capfd, shown_lake, tmp_path / "whole")
    assert code == 0, said
    for name in ("drift", "compare"):
        page = Reading((tmp_path / f"whole/{name}.html").read_text("utf-8"))
        assert any(link.startswith(f"{name}-") and link.endswith(".html") for link in page.links), name
    assert {"drift.html", "compare.html"} <= set(Reading((tmp_path / "whole/index.html").read_text("utf-8")).links)
    assert "To do" in (tmp_path / "whole/index.html").read_text("utf-8")
    alike = [replace(document, metadata="{}") for document in embedded_lakes.documents()]
    exported(capfd, embedded_lakes.make(tmp_path / "lake", alike), tmp_path / "plain")
    assert (tmp_path / "plain/index.html").is_file()
    assert not list((tmp_path / "plain").glob("drift*")) + list((tmp_path / "plain").glob("compare*"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--page", "/nowhere"], "no page that can be exported"),
        (["--page", "/sql?q=SELECT 1"], "no page that can be exported"),
        (["--page", "/word?w=zyzzyva"], "does not occur"),
        (["--depth", "-1"], "--depth"),
        (["--most", "0"], "--most"),
    ],
)
def test_what_cannot_be_exported_is_said(
    shown_lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    code, said = exported(capfd, shown_lake, tmp_path / "site", *more)
    assert code == 2
    assert says in said


def test_a_folder_with_something_in_it_is_left_alone(
    shown_lake: Lake, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, said = exported(capfd, shown_lake, tmp_path)
    assert (code, [p.name for p in tmp_path.iterdir()]) == (2, ["mine.txt"])
    assert "not empty" in said


def test_a_report_is_one_page_that_needs_nothing_else(live: LiveLake) -> None:
    html = report(live, title="Banks & <rivers>", words=["bank", "nowhere", *ATTACKS.values()])
    page = Reading(html)
    assert page.open == []
    assert page.stray == []
    assert [*page.links, *page.loaded] == ["#content"]
    assert not [name for name in page.attributes if name.startswith("on")]
    assert all(script.keys() <= {"type", "id"} for script in page.scripts)
    assert "Banks & <rivers>" in page.text
    assert "nowhere does not occur" in page.text
