"""Properties of a graph that are known without building a network: 23 numbers.

They follow Darji 2024 (https://arxiv.org/abs/2407.20601, section 4.3): layers, nodes, edges,
sources, sinks, diameter, density, average shortest path, and mean, variance and standard deviation
of eccentricity, degree, closeness, node and edge betweenness.
"""

from collections.abc import Iterable

import networkx as nx
import numpy as np

from search_spaces.random_graph.graphs import Parents, layers_of


def properties_of(parents: Parents) -> dict[str, float]:
    """Return properties by name; distances are undirected, within the largest component."""
    directed = nx.DiGraph()
    directed.add_nodes_from(range(len(parents)))
    directed.add_edges_from((p, node) for node, read in enumerate(parents) for p in read)
    graph = directed.to_undirected()
    component = graph.subgraph(max(nx.connected_components(graph), key=len))
    found = {
        "layers": 1 + max(layers_of(parents)),
        "nodes": len(parents),
        "edges": graph.number_of_edges(),
        "source_nodes": sum(degree == 0 for _, degree in directed.in_degree()),
        "sink_nodes": sum(degree == 0 for _, degree in directed.out_degree()),
        "diameter": nx.diameter(component),
        "density": nx.density(graph),
        "average_shortest_path": nx.average_shortest_path_length(component),
    }
    spreads = {
        "eccentricity": dict(nx.eccentricity(component)).values(),  # type: ignore[arg-type]
        "degree": (degree for _, degree in graph.degree()),
        "closeness": nx.closeness_centrality(graph).values(),
        "node_betweenness": nx.betweenness_centrality(graph).values(),
        "edge_betweenness": nx.edge_betweenness_centrality(graph).values(),
    }
    for name, values in spreads.items():
        found |= _spread(name, values)
    return {name: float(value) for name, value in found.items()}


def _spread(name: str, values: Iterable[float]) -> dict[str, float]:
    known = np.array(list(values))
    return {
        f"{name}_mean": known.mean(),
        f"{name}_variance": known.var(),
        f"{name}_deviation": known.std(),
    }
