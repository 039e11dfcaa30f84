"""LaTeX: the text of a typeset document, from its source. `document` is the door."""
