"""The adaptation stage: continued pretraining of a model on a corpus, from the request to the model card."""
