"""The commands: one module a family, imported only if one of them is called, so that `polyseme --help` is instant."""
