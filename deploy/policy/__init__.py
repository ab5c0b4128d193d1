"""Checks of everything in deploy/ and observability/ that need no cluster and no container engine: see deploy/check."""
