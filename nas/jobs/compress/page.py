"""The explorer of a compression's students, and their graphs."""

from networkx import DiGraph, path_graph

from nas.jobs.compress.summary import CompressSummary
from nas.loop.candidate import Candidate
from nas.reporting.candidates import Judged, candidate_explorer
from nas.reporting.explorer import Explorer
from search_spaces.layer_removal.space import is_within, student_of

MOST_LAYERS = 64  # of a teacher whose students are drawn


def student_explorer(summary: CompressSummary) -> Explorer:
    """Return the explorer of all students; drawn once the teacher's layers are recorded."""
    judged = Judged(summary.objective, summary.metric, summary.higher_is_better)
    widths = dict(summary.measured.teacher.widths) if summary.measured else {}
    if not 0 < len(widths) <= MOST_LAYERS:
        return candidate_explorer(summary.candidates, judged, noun="student")

    def graph_of(candidate: Candidate) -> DiGraph:
        return _layers(candidate, widths)

    return candidate_explorer(summary.candidates, judged, graph_of, noun="student")


def _layers(candidate: Candidate, widths: dict[str, int]) -> DiGraph:
    """Return the teacher's layers in order, with what the student removes and narrows."""
    student = student_of(candidate.architecture)
    narrowed = dict(student.widths)
    drawn = path_graph(len(widths), create_using=DiGraph)
    for node, (path, width) in enumerate(widths.items()):
        label, kind = path, "layer"
        if is_within(path, student.removed):
            label, kind = f"{path}\nremoved", "removed"
        elif path in narrowed:
            label, kind = f"{path}\n{narrowed[path]} of {width}", "linear"
        drawn.add_node(node, label=label, kind=kind, state=None)
    return drawn
