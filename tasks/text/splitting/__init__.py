"""Where sentences end: the layout of a text, its stops, and what stands before and after them."""
