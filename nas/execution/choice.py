"""Opens the executor that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from nas.core.executor import Executor
from nas.core.settings import Execution
from nas.execution.serial import SerialExecutor


@contextmanager
def executor_of(execution: Execution) -> Iterator[Executor]:
    """Open the executor, and close it on exit."""
    if execution.executor == "serial":
        executor: Executor = SerialExecutor()
    else:
        from nas.execution.ray import RayExecutor

        executor = RayExecutor(execution.workers, execution.ray_address)
    try:
        yield executor
    finally:
        executor.close()
