"""Opens the executor that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from nas.core.executor import Executor
from nas.core.settings import Execution
from nas.execution.serial import SerialExecutor


@contextmanager
def executor_of(execution: Execution) -> Iterator[Executor]:
    """Open the executor, and close it on exit."""
    executor: Executor
    if execution.in_this_process:
        executor = SerialExecutor()
    elif execution.executor == "serial":
        from nas.execution.isolated import IsolatedExecutor

        executor = IsolatedExecutor(execution.time_limit)
    else:
        from nas.execution.ray import RayExecutor

        executor = RayExecutor(
            execution.workers, execution.ray_address, time_limit=execution.time_limit
        )
    try:
        yield executor
    finally:
        executor.close()
