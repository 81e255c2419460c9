"""The columnar store: `contract` says what it promises, `embedded` (chdb) and `server` (clickhouse-driver) keep it."""
