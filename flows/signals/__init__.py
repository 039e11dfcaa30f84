"""Signals: how a command ends by one, and the process that ends it if it cannot."""
