"""Security control centres of agencies that are linked to this one (article 17(3)): who watches whom, their links, and their alerts."""
