"""Options that several commands share: frozen dataclasses that cyclopts flattens, each building a value of the domain.

The docstring below a field is its help. Only `cyclopts` and records are imported here: what an option stands for is
imported by the method that builds it, so that help and usage errors load neither torch nor Prefect.
"""
