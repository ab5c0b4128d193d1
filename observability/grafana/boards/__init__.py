"""One module for each dashboard; each has `board()`."""
