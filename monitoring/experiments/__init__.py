"""Experiments: A/B tests, interleaving, and what another policy would have earned."""
