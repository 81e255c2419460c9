"""The bus between stages: `contract` says what it promises, `embedded` (SQLite) and `kafka` (aiokafka) keep it."""
