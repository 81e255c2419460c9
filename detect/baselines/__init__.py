"""Detectors beside the rules: each learns from the store what is usual, and tells what is not. docs/baselines.md has their methods.

They run by ticks of the clock over closed stretches of receive time, each tick once and with the same result when it is repeated.
"""
