"""Sparse recurrent networks wired like random graphs."""
