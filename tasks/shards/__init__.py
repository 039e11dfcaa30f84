"""The shards stage: documents that are new or changed, staged as shards, encoded and committed."""
