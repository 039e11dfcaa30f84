"""The work itself: sources, sentences, tokens, windows, vectors, scores. Knows nothing of schedules or servers."""
