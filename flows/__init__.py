"""Orchestration: when, in which order, under which policy. Knows Prefect; holds no numerical code."""
