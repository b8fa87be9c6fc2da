"""Any cell on units that are wired one by one: whole networks, or many, in one computation."""
