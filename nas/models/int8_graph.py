"""An ONNX network with its weights in int8: which layers compute in int8 and which only store it.

Each kind of layer is treated as it ran fastest on a processor with AVX-512 VNNI, measured by
`tests/benchmarks/eight_bits.py`:

- Linear layers (MatMul, Gemm) and LSTM layers compute in int8 and scale their inputs at run time
  ("dynamic"). From 128 units on they were never slower than float32, and up to 4 times faster.
- Convolutions, embeddings and GRU layers only store int8 ("weight-only"). onnxruntime turns them
  back into float32 when it loads the file, so they run as fast as before and need the same memory.
  Dynamic int8 made most convolutions slower, depthwise ones 4 to 28 times; onnxruntime has none
  for GRU.

On x86 processors without VNNI, sums of int8 products can saturate. Compare the answers there.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nas.core.files import write_atomically

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

DYNAMIC = ("MatMul", "LSTM")  # the quantiser makes a MatMul and an Add of each Gemm
FEWEST = 512  # numbers of a tensor; int8 copies of smaller ones save nothing
LARGEST = 127  # of int8, symmetric around 0


class Stored(NamedTuple):
    """The inputs of a layer that hold weights, and how many leading axes have their own scales."""

    inputs: tuple[int, ...]
    axes: int


WEIGHT_ONLY = {
    "Conv": Stored((1,), 1),
    "ConvTranspose": Stored((1,), 1),
    "Gather": Stored((0,), 1),
    "GRU": Stored((1, 2), 2),  # [directions, 3 H, …]; int8 arithmetic for it belongs here
}


def write_int8(source: Path, target: Path) -> None:
    """Write the int8 copy of an ONNX file; needs `onnx` and `onnxruntime`."""
    import onnx
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    with TemporaryDirectory() as folder:
        folded, dynamic = Path(folder) / "folded.onnx", Path(folder) / "dynamic.onnx"
        # weights of recurrent layers are computed from other constants until these are folded
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        quantize_dynamic(
            folded,
            dynamic,
            op_types_to_quantize=list(DYNAMIC),
            per_channel=True,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # in 8 bits, sums of products overflow on processors without VNNI
        )
        model = onnx.load(dynamic)
    store_in_int8(model.graph)
    _drop_notes(model.graph)
    write_atomically(target, model.SerializeToString())


def store_in_int8(graph: "GraphProto", layers: Mapping[str, Stored] = WEIGHT_ONLY) -> None:
    """Replace the float32 weights of the layers, by operator, by int8 ones and their scales."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, int] = {}  # name of the tensor → axes with their own scales
    for node in graph.node:
        if layer := layers.get(node.op_type):
            names = [node.input[i] for i in layer.inputs if i < len(node.input)]
            found |= {name: layer.axes for name in names if name in constants}
    added: list[NodeProto] = []
    for name, axes in found.items():
        if _is_worth_it(constants[name]):
            graph.initializer.remove(constants[name])
            added += _stored(graph, constants[name], axes)
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*added, *others])  # onnxruntime computes what has only constants once


def _drop_notes(graph: "GraphProto") -> None:
    """Remove the exporter's notes, such as the source lines of each operator."""
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]


def _is_worth_it(tensor: "TensorProto") -> bool:
    from onnx import TensorProto

    return tensor.data_type == TensorProto.FLOAT and prod(tensor.dims) >= FEWEST


def _stored(graph: "GraphProto", tensor: "TensorProto", axes: int) -> "list[NodeProto]":
    """Add the tensor as int8 to the graph; return the nodes that make it float32 again."""
    from onnx import TensorProto, helper, numpy_helper

    values, scales = rounded(numpy_helper.to_array(tensor), axes)
    integers, factors, wide = (f"{tensor.name}_{part}" for part in ("int8", "scales", "wide"))
    graph.initializer.append(numpy_helper.from_array(values, integers))
    graph.initializer.append(numpy_helper.from_array(scales, factors))
    return [
        helper.make_node("Cast", [integers], [wide], to=TensorProto.FLOAT),
        helper.make_node("Mul", [wide, factors], [tensor.name]),
    ]


def rounded(weights: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 numbers and scales whose product is nearest to the weights.

    axes: the number of leading axes; each of their indices has its own scale.
    """
    rest = tuple(range(axes, weights.ndim))
    scales = np.abs(weights).max(axis=rest, keepdims=True) / LARGEST
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales
