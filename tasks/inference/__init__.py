"""The inference stage: vectors, NSP, mask filling and surprisals of a few texts, by the model of a lake."""
