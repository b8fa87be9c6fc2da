"""Linear recurrences with a matrix state: linear attention, delta rules and their relatives."""
