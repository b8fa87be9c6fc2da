"""What an int8 copy of a network gains and changes; a module without heavy imports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Int8:
    """A network in int8 beside itself in float32, both in onnxruntime.

    milliseconds: median time for one example, in one thread.
    largest_difference: between their outputs, as a share of the largest float32 output.
    agreement: share of equal predictions, None if the outputs are not classes.
    metric: the task's metric of the int8 network; None if the program cannot read the batches.
    """

    float32_bytes: int
    bytes: int
    float32_milliseconds: float
    milliseconds: float
    largest_difference: float
    agreement: float | None
    metric: float | None = None
