"""The SQL stage: the model and the analyses as SQL functions, and running queries with them."""
