"""The panels of `--help`, in the order in which they are shown. Options of one command alone come before them."""

from __future__ import annotations

from cyclopts import Group

LAKE = Group("Lake", sort_key=1)
ENCODING = Group("Encoding", sort_key=2)
OUTPUTS = Group("Outputs", sort_key=3)
MODEL = Group("Model", sort_key=4)
DOCUMENTS = Group("Documents", sort_key=5)
RUNNER = Group("Runner", sort_key=6)
REPORT = Group("Report", sort_key=7)
