"""What can be wrong with a command, and the exit code that says so."""


class NasError(Exception):
    """Ends a command with one line on stderr."""

    exit_code = 1


class BadInput(NasError):
    """A configuration, file or name that cannot be used: what, where, the remedy."""

    exit_code = 2


class TargetNotMet(NasError):
    """Everything went well, but nothing found is good enough."""

    exit_code = 3


class RunLocked(NasError):
    """Another driver owns the run."""

    exit_code = 75


class Interrupted(BaseException):
    """Stopped by a signal; the same command goes on. No `Exception`, so that nothing takes it
    for a candidate's failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted: the same command goes on with the run")
        self.exit_code = 128 + signal_number
