"""From what the user names to a stream of documents and rejects."""
