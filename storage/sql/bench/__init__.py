"""The linguist's bench as SQL macros: concordances, frequency lists, keywords and ranking by words."""
