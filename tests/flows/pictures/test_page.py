"""A picture as a page: it needs nothing else, and has the numbers; what cannot be written is said before the work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from polyseme.flows.pictures import picture
from polyseme.flows.pictures.loss_curve import loss_curve
from polyseme.flows.pictures.picture import check_picture, write_picture
from polyseme.storage.errors import UsageError
from polyseme.tasks.training.checkpoints import TrainingProgress
from tests.flows.explorer.reading import Reading, charts
from tests.flows.pictures.examples import EVALUATION, LOG


@pytest.mark.parametrize("steps", [0, 1, 499])
def test_the_curve_shows_every_run_however_short(tmp_path: Path, steps: int) -> None:
    logs = [replace(LOG, step=i, mlm=4 - i / 1000) for i in range(1, steps + 1)]
    write_picture(
        loss_curve(TrainingProgress(log=logs, evaluations=[EVALUATION]), title="<a run>"), tmp_path / "run.html"
    )
    html = (tmp_path / "run.html").read_text("utf-8")
    page = Reading(html)
    assert ([*page.links, *page.loaded], page.open, page.stray) == (["#content"], [], [])
    assert "<a run>" in page.text
    assert [len(rows) for rows in charts(html)] == [min(steps, 120), min(steps, 120), 1, 1]


def test_a_figure_without_matplotlib_says_what_installs_it_and_what_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "can_draw_figures", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'polyseme\[plot\]'.*bank\.html needs nothing more"):
        check_picture(tmp_path / "bank.pdf")
    check_picture(tmp_path / "bank.html")
    check_picture(None)
