"""From tokenized documents to vectors, scores and rows. No torch of its own."""
