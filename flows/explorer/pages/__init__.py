"""The pages of the explorer, a module each: what a page asks the lake, and the tables that it shows."""
