"""The lowest versions that pyproject.toml allows: what works with the newest works with them, to the same numbers."""
