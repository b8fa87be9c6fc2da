"""Sparse recurrent networks whose units are wired like random graphs."""
