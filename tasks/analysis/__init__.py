"""The analysis stage: word senses, topic breaks and drift, from stored vectors and NSP margins. No torch."""
