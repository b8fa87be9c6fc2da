"""The ways in which compiled loops store the recurrent weights."""

DENSE, LISTS, INT8, BFLOAT16 = "dense", "lists", "int8", "bfloat16"
FEW_BITS = (INT8, BFLOAT16)  # without a backward pass
