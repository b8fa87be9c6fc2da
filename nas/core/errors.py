"""The errors that end a command, and their exit codes."""

from nas.core.masking import masked


class NasError(Exception):
    """An error that ends a command with one line on stderr; secrets in its message are hidden."""

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        super().__init__(masked(str(message)))


class BadInput(NasError):
    """A setting, file or name that cannot be used; the message says what, where and what to do."""

    exit_code = 2


class TargetNotMet(NasError):
    """The run finished, but nothing it found meets the target."""

    exit_code = 3


class RunLocked(NasError):
    """Another process is working on the run."""

    exit_code = 75


class Interrupted(BaseException):
    """A signal stopped the run. Not an `Exception` subclass, so `except Exception` cannot mistake
    it for a failed candidate."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted: run the same command again to continue")
        self.exit_code = 128 + signal_number
