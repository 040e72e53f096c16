"""Measurements, never tests: each compares two ways side by side in one run, A B A B, and prints ratios of medians."""
