"""Questions about a few texts, answered by the model of a lake."""
