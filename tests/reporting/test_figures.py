"""Figures: labels beside points do not hide each other, and arrows stay inside."""

from itertools import combinations

from matplotlib.figure import Figure
from networkx import DiGraph

from nas.reporting.drawing import draw
from nas.reporting.figure import number_points


def test_labels_of_near_points_do_not_overlap_and_stay_above_the_axis() -> None:
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    points = [(n, 200.0, 1 + n / 1000) for n in range(5)] + [(9, 100.0, 3.0)]
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "o")
    number_points(axes, points)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 6
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    assert all((box.y0 + box.y1) / 2 >= axes.bbox.y0 - 1 for box in boxes)


def test_the_longest_arrow_of_a_graph_lies_inside_the_figure() -> None:
    graph = DiGraph([*((n, n + 1) for n in range(9)), (0, 9)])
    for node in graph:
        graph.nodes[node].update(label=f"{node}", kind="linear", state=None)
    figure = draw(graph)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    tops = [arrow.get_path().get_extents(arrow.get_transform()).y1 for arrow in axes.patches]
    assert max(tops) > min(tops) + 20
    assert max(tops) <= axes.bbox.y1
