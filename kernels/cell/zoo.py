"""Known recurrent cells, written as recipes."""

from typing import Any

from kernels.cell import papers
from kernels.cell.traced import Recipe, recipe_from


def _node(op: str, *inputs: str) -> dict[str, Any]:
    return {"op": op, "input": list(inputs)}


def _elman(activation: str) -> Recipe:
    return {
        "sum": _node("linear", "x", "h_prev_0"),
        "h_new_0": _node(f"activation_{activation}", "sum"),
    }


LSTM: Recipe = {  # Hochreiter and Schmidhuber 1997; forget gate by Gers et al. 2000
    "input": _node("linear", "x", "h_prev_0"),
    "input_gate": _node("activation_sigm", "input"),
    "forget": _node("linear", "x", "h_prev_0"),
    "forget_gate": _node("activation_sigm", "forget"),
    "output": _node("linear", "x", "h_prev_0"),
    "output_gate": _node("activation_sigm", "output"),
    "new": _node("linear", "x", "h_prev_0"),
    "candidate": _node("activation_tanh", "new"),
    "kept": _node("elementwise_prod", "forget_gate", "h_prev_1"),
    "added": _node("elementwise_prod", "input_gate", "candidate"),
    "h_new_1": _node("elementwise_sum", "kept", "added"),
    "squashed": _node("activation_tanh", "h_new_1"),
    "h_new_0": _node("elementwise_prod", "output_gate", "squashed"),
}

COUPLED_LSTM: Recipe = {  # CIFG: the forget gate is one minus the input gate (Greff et al. 2017)
    "forget": _node("linear", "x", "h_prev_0"),
    "forget_gate": _node("activation_sigm", "forget"),
    "output": _node("linear", "x", "h_prev_0"),
    "output_gate": _node("activation_sigm", "output"),
    "new": _node("linear", "x", "h_prev_0"),
    "candidate": _node("activation_tanh", "new"),
    "h_new_1": _node("blend", "forget_gate", "h_prev_1", "candidate"),
    "squashed": _node("activation_tanh", "h_new_1"),
    "h_new_0": _node("elementwise_prod", "output_gate", "squashed"),
}

GRU: Recipe = {  # Cho et al. 2014; resets before the matrix, as in the paper
    "reset": _node("linear", "x", "h_prev_0"),
    "reset_gate": _node("activation_sigm", "reset"),
    "update": _node("linear", "x", "h_prev_0"),
    "update_gate": _node("activation_sigm", "update"),
    "reset_state": _node("elementwise_prod", "reset_gate", "h_prev_0"),
    "new": _node("linear", "x", "reset_state"),
    "candidate": _node("activation_tanh", "new"),
    "h_new_0": _node("blend", "update_gate", "h_prev_0", "candidate"),
}

MGU: Recipe = {  # Zhou et al. 2016: one gate both forgets and resets
    "forget": _node("linear", "x", "h_prev_0"),
    "forget_gate": _node("activation_sigm", "forget"),
    "reset_state": _node("elementwise_prod", "forget_gate", "h_prev_0"),
    "new": _node("linear", "x", "reset_state"),
    "candidate": _node("activation_tanh", "new"),
    "h_new_0": _node("blend", "forget_gate", "candidate", "h_prev_0"),
}

UGRNN: Recipe = {  # Collins et al. 2017: update gate only
    "update": _node("linear", "x", "h_prev_0"),
    "update_gate": _node("activation_sigm", "update"),
    "new": _node("linear", "x", "h_prev_0"),
    "candidate": _node("activation_tanh", "new"),
    "h_new_0": _node("blend", "update_gate", "h_prev_0", "candidate"),
}

RHN: Recipe = {  # Zilly et al. 2017: recurrent highway of depth 2, carry gate 1 - transform
    "gate_1": _node("linear", "x", "h_prev_0"),
    "transform_1": _node("activation_sigm", "gate_1"),
    "new_1": _node("linear", "x", "h_prev_0"),
    "candidate_1": _node("activation_tanh", "new_1"),
    "middle": _node("blend", "transform_1", "candidate_1", "h_prev_0"),
    "gate_2": _node("linear", "middle"),
    "transform_2": _node("activation_sigm", "gate_2"),
    "new_2": _node("linear", "middle"),
    "candidate_2": _node("activation_tanh", "new_2"),
    "h_new_0": _node("blend", "transform_2", "candidate_2", "middle"),
}

ZOO: dict[str, Recipe] = {
    "rnn-tanh": _elman("tanh"),
    "rnn-relu": _elman("relu"),
    "rnn-leaky-relu": _elman("leaky_relu"),
    "lstm": LSTM,
    "coupled-lstm": COUPLED_LSTM,
    "gru": GRU,
    "mgu": MGU,
    "ugrnn": UGRNN,
    "rhn": RHN,
    "slstm": recipe_from(papers.slstm),
    "layer-norm-lstm": recipe_from(papers.layer_norm_lstm),
    "layer-norm-gru": recipe_from(papers.layer_norm_gru),
    "peephole-lstm": recipe_from(papers.peephole_lstm),
    "janet": recipe_from(papers.janet),
    "leaky": recipe_from(papers.leaky),
    "sru": recipe_from(papers.sru),
    "qrnn": recipe_from(papers.qrnn),
    "indrnn": recipe_from(papers.indrnn),
    "min-gru": recipe_from(papers.min_gru),
    "nas-cell": recipe_from(papers.nas_cell),
}
