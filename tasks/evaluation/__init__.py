"""The evaluation stage: how good a model is on held-out text."""
