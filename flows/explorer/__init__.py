"""The explorer: a lake looked at in a browser, page by page, from a server on this machine or as files."""
