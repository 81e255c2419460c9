"""A real postgres for tests."""
