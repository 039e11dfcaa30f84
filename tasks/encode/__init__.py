"""The encode stage: from tokenized documents to vectors, NSP scores and Arrow tables. No torch of its own."""
