"""The tasks that come with the project, and the one to make of your own data."""

from nas.tasks.loader_task import LoaderTask

__all__ = ["LoaderTask"]
