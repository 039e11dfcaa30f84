"""The text stage: from documents to sentences, tokens and windows of token ids. No torch."""
