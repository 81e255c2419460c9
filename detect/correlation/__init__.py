"""Sigma correlations (specification 2.1, correlation rules): what several matches of other rules mean together.

`definition` reads one, `windows` says in SQL which matches complete it, `sequences` judges timed events given as objects.
"""
