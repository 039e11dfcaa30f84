"""What is new or changed, staged as shards, encoded and committed."""
