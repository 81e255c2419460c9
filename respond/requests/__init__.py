"""What the Mayor asks of agencies and of cloud providers: articles 12, 15(3), 17(4), 19(2) and 21(4)."""
