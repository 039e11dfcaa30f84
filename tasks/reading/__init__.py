"""The reading stage: from sources named by the user to a stream of documents and rejects."""
