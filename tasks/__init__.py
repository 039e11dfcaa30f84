"""The work of the pipeline: reading, encoding, scoring, training and evaluation. Knows no schedules and no servers."""
