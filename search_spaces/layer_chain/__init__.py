"""Chains of a pretrained decoder's own layers: skipped, repeated, executed together."""
