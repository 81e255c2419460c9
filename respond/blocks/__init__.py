"""Blocking attackers, article 17(2)3: a proposal a human approves, published as a list that firewalls pull."""
