"""Breaks searches in every way that a cluster breaks them, and counts what is lost or doubled.

Run as `make faults`, or `python tests/benchmarks/faults.py [NAME …]` for some of the faults. Every
row says how often the fault struck, how many candidates it cost (missing, or failed without being
at fault), and how many are recorded twice. Faults that this machine cannot have are skipped.
"""

import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import optuna

from nas.loop.journal import JOURNAL, STUDY_NAME
from nas.loop.journal_file import RunJournal, RunStorage
from tests.jobs.command import (
    PATHS,
    PATIENCE,
    TOY,
    nas,
    results,
    start,
    wait_for,
    without_times,
)
from tests.toys import FAULTY

CANDIDATES = 24
SERIAL_KILLS, RAY_KILLS = 70, 30
SEED_WITH_ALL_FAULTS = 4  # with it, a random search proposes networks of all faults
SLOW = {"NAS_TOY_SECONDS": "0.1"}


class Count(NamedTuple):
    """How often a fault struck, and what it cost."""

    tries: int
    lost: int
    doubled: int
    note: str = ""


def search(run: Path, executor: str, *more: object) -> list[object]:
    size = ["--candidates", CANDIDATES, "--survivors", 3]
    return ["search", *TOY, *size, "--run", run, "--executor", executor, "--workers", 2, *more]


def counted(run: Path, tries: int, note: str = "", at_fault: Callable = lambda record: False):
    """Compare a finished run with its budget."""
    records = results(run)
    numbers = {record["number"] for record in records}
    failed = [r for r in records if r["failed"] and not at_fault(r)]
    unfinished = 0
    doubled = len(records) - len(numbers & set(range(CANDIDATES)))
    if (run / JOURNAL).exists():
        storage = RunStorage(RunJournal(run / JOURNAL))
        (study,) = storage.get_all_studies()
        trials = storage.get_all_trials(study._study_id)
        unfinished = sum(not trial.state.is_finished() for trial in trials)
        doubled += max(0, len(trials) - CANDIDATES)
        storage.journal.close()
    missing = len(set(range(CANDIDATES)) - numbers)
    return Count(tries, missing + len(failed) + unfinished, doubled, note)


def finished(*arguments: object, **environment: str) -> None:
    ended = nas(*arguments, **environment)
    assert ended.returncode == 0, ended.stderr[-2000:]


def killed_drivers(folder: Path, executor: str, kills: int, *more: object) -> Count:
    """Kill the driver at random moments of run after run, and let each run finish."""
    rng, done, total = random.Random(executor), 0, Count(0, 0, 0)
    while done < kills:
        run = folder / f"{executor}-{done}"
        for _ in range(min(10, kills - done)):
            process = start(*search(run, executor, *more), **SLOW)
            goal = len(results(run)) + rng.randint(0, 3)
            until = time.monotonic() + 60
            while process.poll() is None and len(results(run)) < goal and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.3)
            process.kill()
            process.communicate()
            done += 1
        finished(*search(run, executor, *more))
        count = counted(run, done)
        total = Count(done, total.lost + count.lost, total.doubled + count.doubled)
    return total


def deterministic(folder: Path) -> Count:
    """Kill a deterministic run 20 times, and compare it with one that was not killed."""
    more = ["--deterministic", "--controller", "evolution", "--score", "none"]
    whole, run = folder / "whole", folder / "killed"
    finished(*search(whole, "serial", *more))
    rng = random.Random(0)
    for _ in range(20):
        process = start(*search(run, "serial", *more), **SLOW)
        goal = len(results(run)) + rng.randint(0, 2)
        while process.poll() is None and len(results(run)) < goal:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)
        process.kill()
        process.communicate()
    finished(*search(run, "serial", *more))
    same = without_times(results(run)) == without_times(results(whole))
    return counted(run, 20, f"records equal to the uninterrupted run's: {same}")


def misbehaving(folder: Path, executor: str) -> Count:
    """Let every candidate of four kinds misbehave, each in its way; only those may fail."""
    run = folder / "run"
    more = ["--controller", "random", "--seed", SEED_WITH_ALL_FAULTS]
    more += ["--set", "execution.batch=1", "--set", "execution.time_limit=30"]
    if executor == "serial":
        more += ["--set", "execution.isolate=true"]
    command = search(run, executor, *more)
    finished(*["toys:Misbehaves" if part == "toys:FirstWeight" else part for part in command])
    first = [r for r in results(run) if r["duplicate_of"] is None]  # the others share its result
    of_fault = Counter(_fault_of(r) for r in first if r["failed"])
    assert all(of_fault[fault] for fault in FAULTY.values()), f"a fault did not strike: {of_fault}"
    return counted(
        run,
        sum(_fault_of(r) is not None for r in first),
        ", ".join(f"{fault} {of_fault[fault]}" for fault in FAULTY.values()),
        lambda record: _fault_of(record) is not None,
    )


def _fault_of(record: dict) -> str | None:
    return FAULTY.get(tuple(record["architecture"]["spec"]))


def children_of(pid: int, name: str) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [int(p) for p, parent, comm in rows if int(parent) == pid and name in comm]


def killed_helper(folder: Path, name: str, tries: int = 2) -> Count:
    """Kill a process of a local Ray; the driver must end with one line and continue."""
    run, lines = folder / "run", []
    for _ in range(tries):
        before = len(results(run))
        process = start(*search(run, "ray"), NAS_TOY_SECONDS="0.3")
        wait_for(process, lambda before=before: len(results(run)) > before)
        for pid in children_of(process.pid, name):
            os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE)
        lines.append(err.strip().splitlines()[-1])
    finished(*search(run, "ray"))
    return counted(run, tries, lines[-1])


def _cluster(pipe) -> None:
    """Serve a cluster of a head and two nodes; runs in its own process."""
    from ray.cluster_utils import Cluster

    # workers have the environment of their node, not that of a driver
    os.environ |= {"PYTHONPATH": os.pathsep.join(PATHS), "NAS_TOY_SECONDS": "0.3"}
    store = 80 * 2**20
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": store}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=store) for _ in range(2)]
    pipe.send(cluster.address)
    while (order := pipe.recv()) != "end":
        if order == "node":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            cluster.head_node.kill_gcs_server(check_alive=False)
        pipe.send("done")
    cluster.shutdown()


@contextmanager
def cluster() -> Iterator[tuple[str, Callable[[str], None]]]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_cluster, args=(theirs,))
    process.start()

    def order(what: str) -> None:
        ours.send(what)
        ours.recv()

    try:
        yield ours.recv(), order
    finally:
        ours.send("end")
        process.join(60)
        process.kill()


def lost_cluster(folder: Path, what: str) -> Count:
    """Remove a node, or kill the head and continue on a new cluster."""
    run, note = folder / "run", ""
    with cluster() as (address, order):
        more = ["--ray-address", address, "--set", "execution.batch=1"]
        process = start(*search(run, "ray", *more))
        wait_for(process, lambda: len(results(run)) > 4)
        order(what)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == (1 if what == "head" else 0), err[-2000:]
        if what == "head":
            note = err.strip().splitlines()[-1]
    with cluster() as (address, _):
        finished(*search(run, "ray", "--ray-address", address))
    return counted(run, 1, note)


def slurm(folder: Path) -> Count:
    """Send SIGTERM as SLURM does before it ends a job, then run the command again."""
    run, tries = folder / "run", 3
    for _ in range(tries):
        before = len(results(run))
        process = start(*search(run, "serial", "--grace", 2), NAS_TOY_SECONDS="0.3")
        wait_for(process, lambda before=before: len(results(run)) > before)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 143, err[-2000:]
    finished(*search(run, "serial"))
    return counted(run, tries, "exit 143, then --requeue")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small disk; needs root."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def full_disk(folder: Path) -> Count:
    with small_disk(folder / "disk", "96k") as disk:
        run = disk / "run"
        ended = nas(*search(run, "serial"))
        line = ended.stderr.strip().splitlines()[-1]
        assert ended.returncode == 1 and "cannot be written" in line, ended.stderr[-2000:]
        subprocess.run(["mount", "-o", "remount,size=50M", disk], check=True)
        finished(*search(run, "serial"))
        return counted(run, 1, line.partition(" ")[2].replace(str(disk), "…"))


def read_only(folder: Path) -> Count:
    with small_disk(folder / "disk", "50M") as disk:
        run = disk / "run"
        process = start(*search(run, "serial"), NAS_TOY_SECONDS="0.3")
        wait_for(process, lambda: results(run))
        process.send_signal(signal.SIGSTOP)
        process.kill()
        process.communicate()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = nas(*search(run, "serial"))
        assert ended.returncode in (1, 2) and "Traceback" not in ended.stderr, ended.stderr[-2000:]
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        finished(*search(run, "serial"))
        return counted(run, 1, ended.stderr.strip().splitlines()[-1].replace(str(disk), "…"))


def full_cache(folder: Path) -> Count:
    with small_disk(folder / "cache", "20k") as cache:
        run = folder / "run"
        cells = ["--space", "rnn-cell", "--task", "reber", "--score", "parameters"]
        small = ["--set", "model.hidden=8", "--set", "model.layers=1", "--controller", "random"]
        size = ["--candidates", CANDIDATES, "--survivors", 3, "--set", "training.steps=4"]
        command = ["search", *cells, *small, *size, "--run", run, "--executor", "serial"]
        finished(*command, NAS_CACHE=str(cache))
        return counted(run, 1)


def deleted_folder(folder: Path) -> Count:
    run = folder / "run"
    process = start(*search(run, "serial"), NAS_TOY_SECONDS="0.3")
    wait_for(process, lambda: results(run))
    shutil.rmtree(run, ignore_errors=True)
    _, err = process.communicate(timeout=PATIENCE)
    line = err.strip().splitlines()[-1]
    assert process.returncode == 1, err[-2000:]
    shutil.rmtree(run, ignore_errors=True)
    finished(*search(run, "serial"))
    return counted(run, 1, line.replace(str(folder), "…"))


def two_drivers(folder: Path, on: str) -> Count:
    """Start a second driver on the folder, or on a copy of it with the same database."""
    run, other = folder / "run", folder / ("run" if on == "folder" else "copy")
    storage = ["--storage", f"sqlite:///{folder / 'team.db'}"] if on == "database" else []
    first = start(*search(run, "serial", *storage), NAS_TOY_SECONDS="0.5")
    wait_for(first, lambda: len(results(run)) > 3)
    if on == "database":
        other.mkdir()
        shutil.copy(run / STUDY_NAME, other)
    second = nas(*search(other, "serial", *storage))
    first.communicate(timeout=PATIENCE)
    assert (first.returncode, second.returncode) == (0, 75), second.stderr
    return counted(run, 1, "the second is refused with 75")


def two_runs(folder: Path) -> Count:
    storage = ["--storage", f"sqlite:///{folder / 'team.db'}"]
    runs = [folder / name / "search" for name in "ab"]
    both = [start(*search(run, "serial", *storage), **SLOW) for run in runs]
    for process in both:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err[-2000:]
    a, b = (counted(run, 1) for run in runs)
    return Count(2, a.lost + b.lost, a.doubled + b.doubled, "of one name on one database")


def postgres(folder: Path) -> Count:
    """Restart PostgreSQL three times under a search, without giving it time to finish."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    as_user = ["setpriv", "--reuid", "postgres", "--clear-groups"] if os.getuid() == 0 else []
    folder.chmod(0o777)
    for parent in folder.parents:
        if parent != Path(tempfile.gettempdir()) and os.access(parent, os.W_OK):
            parent.chmod(parent.stat().st_mode | 0o011)
        if parent == Path(tempfile.gettempdir()):
            break

    def server(*order: str) -> None:
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        command = ["pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", *order]
        subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL)

    options = ["-D", data, "-A", "trust", "-U", "postgres"]
    subprocess.run([*as_user, "initdb", *options], check=True, stdout=subprocess.DEVNULL)
    server("start")
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        run = folder / "run"
        process = start(*search(run, "serial", "--storage", url), NAS_TOY_SECONDS="0.3")
        for done in range(3):
            wait_for(process, lambda done=done: len(results(run)) > 5 * done)
            server("restart", "-m", "immediate")
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err[-2000:]
        name = (run / STUDY_NAME).read_text()
        trials = optuna.load_study(
            study_name=name, storage=url.replace("postgresql", "postgresql+psycopg")
        ).trials
        count = counted(run, 3)
        return Count(3, count.lost, count.doubled + len(trials) - CANDIDATES)
    finally:
        server("stop", "-m", "immediate")


FAULTS: dict[str, Callable[[Path], Count]] = {
    "driver killed, serial": lambda f: killed_drivers(f, "serial", SERIAL_KILLS),
    "driver killed, Ray": lambda f: killed_drivers(f, "ray", RAY_KILLS),
    "driver killed, --deterministic": deterministic,
    "preempted by SLURM": slurm,
    "candidates at fault, serial": lambda f: misbehaving(f, "serial"),
    "candidates at fault, Ray": lambda f: misbehaving(f, "ray"),
    "raylet killed": lambda f: killed_helper(f, "raylet"),
    "GCS killed": lambda f: killed_helper(f, "gcs_server"),
    "cluster: node removed": lambda f: lost_cluster(f, "node"),
    "cluster: head killed": lambda f: lost_cluster(f, "head"),
    "disk full": full_disk,
    "disk read-only": read_only,
    "compiler's cache full": full_cache,
    "folder deleted": deleted_folder,
    "PostgreSQL restarted": postgres,
    "two drivers, one folder": lambda f: two_drivers(f, "folder"),
    "two drivers, one study": lambda f: two_drivers(f, "database"),
    "two runs, one database": two_runs,
}


def main(names: list[str]) -> int:
    print(f"{'fault':32}{'tries':>6}{'lost':>6}{'doubled':>9}{'seconds':>9}  note", flush=True)
    bad = 0
    for name, fault in FAULTS.items():
        if names and not any(part in name for part in names):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            try:
                count = fault(Path(folder))
            except (FileNotFoundError, subprocess.CalledProcessError, ImportError) as error:
                print(f"{name:32}skipped: {error}", flush=True)
                continue
            except (AssertionError, subprocess.TimeoutExpired) as error:
                count = Count(0, 1, 0, str(error))
        seconds = time.monotonic() - began
        bad += count.lost + count.doubled
        row = f"{name:32}{count.tries:6}{count.lost:6}{count.doubled:9}{seconds:9.0f}"
        print(f"{row}  {count.note}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
