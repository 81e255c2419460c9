"""A real clickhouse for tests."""
