"""Saves and loads trained policies, so a search can start where another one ended."""

from collections.abc import Callable
from pathlib import Path

from optuna.samplers import BaseSampler
from safetensors import SafetensorError
from safetensors.torch import load, save

from nas.core.errors import BadInput
from nas.core.files import read_bytes, reason_of, write_atomically
from nas.loop.controller import Controller
from nas.loop.run_folder import RunFolder
from policies.path_sampler import PathSampler
from policies.policy_gradient import PolicyGradient


def save_policy(policy: PolicyGradient, path: Path) -> None:
    """Write the policy's weights as safetensors, without the optimiser state and the record."""
    write_atomically(path, save(policy.network.state_dict()))


def load_policy(policy: PolicyGradient, path: Path) -> None:
    """Load a policy's weights from a file.

    They apply to the decisions that have the same names in both spaces; with n2n, to all layers.
    Raises `BadInput` if the file does not hold such a policy.
    """
    content = read_bytes(path, "pass a file that --policy wrote")
    try:
        policy.network.load_state_dict(load(content))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} is not a policy of this controller: {reason_of(error)}") from None


def first_controller(
    run: RunFolder,
    policy: Path | None,
    name: str,
    make: Callable[[int, Path | None], Controller],
    repeats: bool,
) -> Controller:
    """Return a run's controller, and save the policy it starts from, so the run can resume.

    policy: the policy file; None for a run without one. name: the controller's name.
    make: returns the controller for a number of trials and an optional policy file.
    repeats: whether the controller makes the recorded proposals again, so that it starts as before.
    """
    done, kept = len(run.trials()), run.folder / "policy-before.safetensors"
    controller = make(0 if repeats else done, kept if done else policy)
    if policy is not None and not done:
        save_policy(policy_of(controller.sampler, name), kept)
    return controller


def policy_of(sampler: BaseSampler, name: str) -> PolicyGradient:
    """Return the policy that a controller trains.

    Raises `BadInput` if the controller of this name trains none.
    """
    if isinstance(sampler, PathSampler) and isinstance(sampler.policy, PolicyGradient):
        return sampler.policy
    raise BadInput(
        f'controller "{name}" trains no policy: use policy-gradient or n2n, or omit --policy'
    )
