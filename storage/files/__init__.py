"""Where bytes lie: a local folder or an object store."""
