"""Depth reduction from plain text: chains for all inputs, without questions or labels."""
