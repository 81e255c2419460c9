"""From events to findings: Sigma rules compiled to columnar expressions, run on every batch."""
