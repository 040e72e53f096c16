"""Weights: what families there are, where they lie, and the manager that loads them."""
