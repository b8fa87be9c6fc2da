"""A trained policy in a file, for a search that begins where another one ended."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nas.errors import BadInput
from policies.policy_gradient import PolicyGradient


def save_policy(policy: PolicyGradient, path: Path) -> None:
    """Write the weights as safetensors, without the optimiser's state and the record."""
    save_file(policy.network.state_dict(), path)


def load_policy(policy: PolicyGradient, path: Path) -> None:
    """Take the weights of a file; what the two spaces name alike is known at once.

    Raises `BadInput` when the file holds no such policy.
    """
    try:
        policy.network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(f"{path} holds no policy: {str(error).splitlines()[0]}") from None
