"""Chains of a pretrained decoder's layers: skip, repeat, and run many of them together."""
