"""No candidate is lost when a node leaves a Ray cluster."""

from pathlib import Path

import pytest

import nas
from nas.loop.candidate import Candidate
from tests.jobs.command import results


class RemovesANode:
    """A watcher that removes a node from the cluster after a number of results."""

    def __init__(self, cluster, node, after: int) -> None:
        self.cluster, self.node, self.after = cluster, node, after
        self.results = 0

    def update(self, candidate: Candidate) -> None:
        self.results += 1
        if self.results == self.after:
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = None

    def tick(self, in_flight: int) -> None: ...


@pytest.mark.ray
def test_a_search_continues_when_a_node_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("NAS_TOY_SECONDS", "0.2")
    store = 80 * 2**20
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": store}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=store) for _ in range(2)]
    try:
        watcher = RemovesANode(cluster, nodes[0], after=6)
        summary = nas.search(
            space="tests.toys:Perceptrons",
            scores=["tests.toys:FirstWeight"],
            task="tests.toys:Quadrants",
            training={"steps": 10, "rungs": 1},
            execution={"workers": 4, "ray_address": cluster.address, "batch": 1},
            candidates=24,
            survivors=2,
            run=tmp_path / "run",
            watchers=[watcher],
        )
        assert watcher.node is None, "the node was never removed"
    finally:
        cluster.shutdown()
    assert summary.finished
    assert [r["number"] for r in results(tmp_path / "run")] == list(range(24))
    assert sum(bool(c.rungs) for c in summary.candidates) == 2
    assert all(c.failed is None for c in summary.candidates)
