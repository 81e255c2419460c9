"""A real kafka for tests."""
