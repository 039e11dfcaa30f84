"""One module a family of commands. Imported only when one of them is called, so that `polyseme --help` is instant."""
