"""Checks of what you plug in: each raises `AssertionError` with what is wrong and what to do."""

from nas.testing.controller import check_controller
from nas.testing.score import check_score
from nas.testing.space import check_space
from nas.testing.task import check_task
from nas.testing.teacher import check_teacher

__all__ = ["check_controller", "check_score", "check_space", "check_task", "check_teacher"]
