"""How good a model is, on text it never saw."""
