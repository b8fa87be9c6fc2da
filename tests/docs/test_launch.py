"""The launch recipes: scripts for SLURM run with stand-ins, the manifest has what KubeRay needs."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "docs" / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))

# stand-ins write their name and arguments to a log; a driver runs until it is told to stop
STAND_INS = {
    "nas": """trap "exit 143" TERM
for i in $(seq "${NAS_TENTHS:-3}"); do sleep 0.1; done
exit "${NAS_CODE:-0}" """,
    "ray": "trap 'exit 0' TERM\nfor i in $(seq 6); do sleep 0.1; done",
    "scontrol": "true",
    "hostname": 'echo "10.0.0.7 fe80::1"',
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in STAND_INS.items():
        script = programs / name
        script.write_text(f'#!/bin/bash\necho "{name} $*" >> "$LOG"\n{body}\n')
        script.chmod(0o755)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "NAS_POLL_SECONDS": "0.1",
        "SLURM_JOB_ID": "42",
        "SLURM_ARRAY_JOB_ID": "42",
        "SLURM_CPUS_PER_TASK": "8",
    }


def started(name: str, environment: dict[str, str], *arguments: object) -> subprocess.Popen:
    command = ["bash", str(LAUNCH / name), *map(str, arguments)]
    return subprocess.Popen(command, env=environment)


def log(environment: dict[str, str], part: str, wait: float = 10) -> list[str]:
    """Return the logged lines, once one of them has the part."""
    path, until = Path(environment["LOG"]), time.monotonic() + wait
    while time.monotonic() < until:
        lines = path.read_text().splitlines() if path.exists() else []
        if any(part in line for line in lines):
            return lines
        time.sleep(0.02)
    raise AssertionError(f"no {part} within {wait} s")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = ROOT / ".venv" / "bin" / "shellcheck"
    if shellcheck.exists():
        subprocess.run([shellcheck, script], check=True)


def test_a_job_runs_its_driver_and_returns_its_code(environment: dict[str, str]) -> None:
    job = started("slurm_search.sh", {**environment, "NAS_CODE": "3"}, "runs/a", "--task", "reber")
    assert job.wait(20) == 3
    (line,) = log(environment, "nas")
    assert line == "nas search --run runs/a --workers 8 --grace 120 --task reber"


def test_a_job_that_is_terminated_passes_that_on_and_is_requeued(
    environment: dict[str, str],
) -> None:
    job = started("slurm_search.sh", {**environment, "NAS_TENTHS": "100"}, "runs/a")
    log(environment, "nas search")
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 143
    assert log(environment, "scontrol")[-1] == "scontrol requeue 42"


def test_the_tasks_of_an_array_join_the_first_and_end_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "a"
    tasks = [
        started("slurm_ray_array.sh", {**environment, "SLURM_ARRAY_TASK_ID": str(i)}, run)
        for i in (0, 1)
    ]
    assert [task.wait(30) for task in tasks] == [0, 0]
    lines = log(environment, "nas search")
    address = "10.0.0.7:20042"
    assert f"ray start --address {address} --num-cpus 8 --block" in lines
    assert f"nas search --run {run} --ray-address {address} --grace 120" in lines
    assert [path.name for path in run.parent.iterdir()] == ["a.42.done"]


def test_the_manifest_has_what_kuberay_requires() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which Ray brings")
    text = (LAUNCH / "kuberay_search.yaml").read_text()
    volume, job = yaml.safe_load_all(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    workers = cluster["workerGroupSpecs"][0]
    assert {"template", "rayStartParams"} <= set(cluster["headGroupSpec"])
    assert {"groupName", "minReplicas", "maxReplicas", "template"} <= set(workers)
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    mounted = cluster["headGroupSpec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]
    assert mounted["claimName"] == volume["metadata"]["name"]
    pinned = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned and cluster["rayVersion"] == pinned[1]


def test_the_container_copies_what_there_is() -> None:
    text = (LAUNCH / "Dockerfile").read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert {"nas", "search_spaces", "compress", "kernels", "policies"} <= set(copied)
