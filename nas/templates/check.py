"""Checks the space and the task: run it after every change, `python check.py`."""

from my_space import Convolutions
from my_task import waves

from nas.testing import check_space, check_task

check_task(waves())
check_space(Convolutions(), waves().shape)
print("the space and the task keep to their contracts")
