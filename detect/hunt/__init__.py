"""Rules over history: hunts asked by people, first matches of new rules, and what the stream missed."""
