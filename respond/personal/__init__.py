"""Personal information divulged in an accident, article 19(4): the case, its tracks, the law as rule packs, letters, evidence."""
