"""Parts of check.py: whether every query of every dashboard and rule says something."""
