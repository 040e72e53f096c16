"""The world the starter models learn from, and the recipes that train them.

The running studio never imports this package.
"""
