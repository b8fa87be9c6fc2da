"""Chains of layers for single inputs: found, judged against chance, and put to use."""
