"""A trained policy in a file, for a search that begins where another one ended."""

from collections.abc import Callable
from pathlib import Path

from optuna.samplers import BaseSampler
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from nas.core.errors import BadInput
from nas.core.files import write_atomically
from nas.loop.controller import Controller
from nas.loop.run_folder import RunFolder
from policies.path_sampler import PathSampler
from policies.policy_gradient import PolicyGradient


def save_policy(policy: PolicyGradient, path: Path) -> None:
    """Write the weights as safetensors, without the optimiser's state and the record."""
    write_atomically(path, save(policy.network.state_dict()))


def load_policy(policy: PolicyGradient, path: Path) -> None:
    """Take the weights of a file; what the two spaces name alike is known at once, and with n2n
    every layer, whatever its name.

    Raises `BadInput` when the file holds no such policy.
    """
    try:
        policy.network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(f"{path} holds no policy: {str(error).splitlines()[0]}") from None


def first_controller(
    run: RunFolder, policy: Path | None, name: str, make: Callable[[int, Path | None], Controller]
) -> Controller:
    """Make a run's controller, and keep the policy that it starts from for when the run resumes.

    policy: the policy file, None for a run without one. name: of the controller.
    make: the controller after this many trials, started from a policy file if there is one.
    """
    done, kept = len(run.trials()), run.folder / "policy-before.safetensors"
    controller = make(done, kept if done else policy)
    if policy is not None and not done:
        save_policy(policy_of(controller.sampler, name), kept)
    return controller


def policy_of(sampler: BaseSampler, name: str) -> PolicyGradient:
    """The policy that a controller trains.

    Raises `BadInput` when the controller of this name trains none.
    """
    if isinstance(sampler, PathSampler) and isinstance(sampler.policy, PolicyGradient):
        return sampler.policy
    raise BadInput(
        f'controller "{name}" trains no policy: a policy file is for policy-gradient or n2n'
    )
