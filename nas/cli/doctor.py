"""`nas doctor`: show what a search can use on this machine."""

import importlib.metadata
import platform
import shutil
import time
from typing import Annotated

from typer import Exit, Option

PACKAGES = ("torch", "triton", "optuna", "ray", "numpy", "networkx", "tensorboard", "transformers")


def doctor(
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check package versions, devices, kernels, Ray and shared memory."""
    from nas.cli.output import say, say_json

    facts = {"python": platform.python_version()}
    facts |= {f"{name} version": _version(name) for name in PACKAGES}
    facts |= _devices() | _kernels() | _shared_memory() | _ray()
    if json:
        say_json(facts)
    else:
        for name, value in facts.items():
            say(f"{name:20} {value}")
    if facts["ray start"].startswith("failed"):
        raise Exit(1)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cpu threads": str(torch.get_num_threads()), "gpus": ", ".join(gpus) or "none"}


def _kernels() -> dict[str, str]:
    from kernels.cell.op import backends
    from kernels.mixer.fla import problem

    kernels = {f"kernels {name}": what for name, what in backends().items()}
    return kernels | {"kernels mixer, fla": problem() or "used for bfloat16 on a GPU"}


def _shared_memory() -> dict[str, str]:
    """Return the free shared memory, where Ray keeps objects; too little makes Ray slow."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        return {"shared memory": "none"}
    from nas.execution.ray import OBJECT_STORE_BYTES

    remark = "" if free > OBJECT_STORE_BYTES else ", less than a search needs"
    return {"shared memory": f"{free / 2**20:.0f} MiB free{remark}"}


def _ray() -> dict[str, str]:
    from nas.execution.ray import NoRay, RayExecutor

    started = time.perf_counter()
    try:
        RayExecutor(workers=1).close()
    except NoRay as error:
        return {"ray start": f"failed: {error}"}
    return {"ray start": f"{time.perf_counter() - started:.1f} s"}
