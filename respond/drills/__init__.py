"""Drills: training against cyber-attacks (articles 17(2)5 and 21), run through the real path and scored."""
