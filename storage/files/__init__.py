"""Files: a lake's place in a local folder or an object store."""
