"""A model adapted to a corpus, from the request to the model card."""
