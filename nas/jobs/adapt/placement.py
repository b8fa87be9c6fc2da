"""Puts decoders on a device, or on several, in a dtype."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import nn

from nas.core.errors import BadInput
from nas.jobs.adapt.config import Dtype
from nas.training import best_device, check_device

SPREAD = "spread"  # over all devices, by the package accelerate
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Placement:
    """A device and a dtype.

    device: as for PyTorch, "auto" for a GPU if there is one, or "spread".
    dtype: of the weights; "auto" keeps that of the checkpoint.
    """

    device: str = "cpu"
    dtype: Dtype = "auto"

    def check(self, model: str, serial: bool) -> None:
        """Raise `BadInput` if the device is not there or cannot be used.

        model: the model's name, "" for a small decoder. serial: whether everything runs in this
        process; Ray's workers get no GPU for a decoder.
        """
        if self.device == SPREAD:
            if not model or model.endswith(".bin"):
                raise BadInput("--device spread needs a transformers model: use auto, cpu or cuda")
            if find_spec("accelerate") is None:
                raise BadInput("--device spread needs accelerate: pip install accelerate")
        else:
            check_device(self.device, True, "--device")
        if self._is_elsewhere and not serial:
            raise BadInput(f"--device {self.device} needs one process: add --executor serial")

    @property
    def map(self) -> str | None:
        """The `device_map` of `transformers`."""
        return "auto" if self.device == SPREAD else None

    def placed(self, network: Network) -> Network:
        """Return the network on the device; raises `BadInput` if there is no room for it."""
        if self.device == SPREAD:
            return network
        try:
            return network.to(self._name)
        except torch.OutOfMemoryError:
            raise BadInput(
                f"the model does not fit on {self.device}: use --dtype bfloat16 or --device spread"
            ) from None

    def cast(self, network: Network) -> Network:
        """Return a network without buffers of its own dtype in the dtype, on the device."""
        kept = self.dtype == "auto"
        return self.placed(network if kept else network.to(getattr(torch, self.dtype)))

    @property
    def _is_elsewhere(self) -> bool:
        return self.device == SPREAD or torch.device(self._name).type != "cpu"

    @property
    def _name(self) -> str:
        return best_device() if self.device == "auto" else self.device


HERE = Placement()
