"""Narrows a network: cuts its weights and updates the attributes that hold their sizes."""

import numpy as np
import torch
from torch import Tensor, nn

from compress.structure.channels import Graph
from compress.structure.networks import copied
from compress.structure.place_channels import PlaceChannels
from compress.structure.sizes import Attribute, with_size
from compress.structure.trace import Blocks
from kernels.cell.layer import CompiledRNN

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.modules.batchnorm._NormBase,)


def narrowed(model: nn.Module, graph: Graph, left: np.ndarray) -> nn.Module:
    """Return a copy of the network with only the channels whose labels are left."""
    smaller = copied(model)
    narrow(smaller, graph, left)
    return smaller


def narrow(model: nn.Module, graph: Graph, left: np.ndarray) -> None:
    """Narrow a network in place; see `narrowed`."""
    before = {path: _groups_of(module) for path, module in model.named_modules()}
    held, changed = _holders(model), set()
    parametrised = _parametrised(model)
    for name, axes in graph.trace.axes.items():
        tensor = _tensor(model, name)
        cut = _cut(tensor, axes, left)
        if cut is tensor:
            continue
        for owner, key in held[id(tensor)]:
            _put(owner, key, cut)
            changed |= {id(owner), *parametrised.get(id(owner), ())}
    for attribute, number in changed_sizes(graph, left).items():
        with_size(model, attribute, number)
    for path, module in list(model.named_modules()):
        if path in graph.trace.leaves:
            replace_module(model, path, _placed(module, graph.trace.leaves[path], left))
        elif isinstance(module, CompiledRNN) and id(module) in changed:
            replace_module(model, path, _cells(module))
        elif id(module) in changed:
            update_sizes(module, before[path])


def changed_sizes(graph: Graph, left: np.ndarray) -> dict[Attribute, int]:
    """Return the attributes that hold the length of a narrowed axis, with their new values."""
    found = {}
    for attribute, labels, share in graph.trace.sizes:
        count = int(left[labels].sum())
        if count < len(labels):
            found[attribute] = round(count / share)
    return found


def _cut(tensor: Tensor, axes: list, left: np.ndarray) -> Tensor:
    """Return the part of a tensor whose labels are left; the tensor itself if all are."""
    cut = tensor.detach()
    for axis, labels in enumerate(axes):
        if isinstance(labels, Blocks):
            cut = _cut_blocks(cut, left[labels.labels])
        elif labels is not None and not left[labels].all():
            places = torch.from_numpy(np.flatnonzero(left[labels])).to(cut.device)
            cut = cut.index_select(axis, places)
    if cut.shape == tensor.shape:
        return tensor
    cut = cut.contiguous()
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(cut, tensor.requires_grad) if is_parameter else cut


def _cut_blocks(tensor: Tensor, left: np.ndarray) -> Tensor:
    """Cut the second axis separately in each block of the first."""
    if left.all():
        return tensor
    blocks = tensor.unflatten(0, (len(left), -1)).unbind()
    places = [torch.from_numpy(np.flatnonzero(own)).to(tensor.device) for own in left]
    return torch.cat([b.index_select(1, p) for b, p in zip(blocks, places, strict=True)])


def _tensor(model: nn.Module, name: str) -> Tensor:
    path, _, key = name.rpartition(".")
    return getattr(model.get_submodule(path), key)


def _holders(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Return all modules and names that hold each tensor, by its id: weights may be tied."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for key, value in held.items():
                found.setdefault(id(value), []).append((module, key))
    return found


def _parametrised(model: nn.Module) -> dict[int, list[int]]:
    """Return, by id, the layer of each parametrization (`torch.nn.utils.parametrize`)."""
    return {
        id(part): [id(module)]
        for module in model.modules()
        if isinstance(held := module._modules.get("parametrizations"), nn.ModuleDict)
        for part in held.modules()
    }


def _put(module: nn.Module, key: str, tensor: Tensor) -> None:
    held = module._parameters if key in module._parameters else module._buffers
    held[key] = tensor  # type: ignore[assignment]


def _weight(module: nn.Module) -> Tensor | None:
    """Return the weight whose shape tells a layer's sizes; for a normed weight, the original."""
    for name in ("weight_orig", "weight_v", "in_proj_weight", "weight"):
        weight = getattr(module, name, None)
        if isinstance(weight, Tensor):
            return weight
    return None


def _groups_of(module: nn.Module) -> tuple[int, int]:
    """Return the channels and the groups (or heads) of a layer; zeros if it has none."""
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return module.in_channels, module.groups
    if isinstance(module, nn.GroupNorm):
        return module.num_channels, module.num_groups
    if isinstance(module, nn.MultiheadAttention):
        return module.embed_dim, module.num_heads
    return 0, 0


def update_sizes(module: nn.Module, before: tuple[int, int]) -> None:
    """Set the size attributes of a torch.nn layer to match its weights."""
    channels, groups = before
    weight = _weight(module)
    if isinstance(module, nn.RNNBase):
        _update_units(module)
    elif weight is None:
        return
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        groups = _convolution_groups(module, weight, channels, groups)
        sizes = (weight.shape[0], weight.shape[1] * groups)
        is_transposed = isinstance(module, TRANSPOSED)
        module.in_channels, module.out_channels = sizes if is_transposed else sizes[::-1]
        module.groups = groups
    elif isinstance(module, NORMS):
        module.num_features = len(weight)
    elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = len(weight)
        module.num_groups = len(weight) if channels == groups else groups
    elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        module.embedding_dim = weight.shape[1]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(weight)
    elif isinstance(module, nn.Bilinear):
        module.out_features, module.in1_features, module.in2_features = weight.shape
    elif isinstance(module, nn.MultiheadAttention):
        _update_attention(module, channels // groups)


def _update_units(module: nn.RNNBase) -> None:
    inner, own = (module.get_parameter(name) for name in ("weight_ih_l0", "weight_hh_l0"))
    module.input_size = inner.shape[1]
    module.hidden_size = inner.shape[0] // {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
    module.proj_size = own.shape[1] if module.proj_size else 0
    module._init_flat_weights()


def _convolution_groups(module: nn.Module, weight: Tensor, channels: int, groups: int) -> int:
    """Return the groups of a narrowed convolution; a depthwise one loses groups with channels."""
    if groups == channels and groups > 1:
        each = module.out_channels // groups  # type: ignore[operator]
        return weight.shape[0] if isinstance(module, TRANSPOSED) else weight.shape[0] // each  # type: ignore[operator]
    return groups


def _update_attention(module: nn.MultiheadAttention, depth: int) -> None:
    if module.in_proj_weight is not None:
        module.embed_dim = module.in_proj_weight.shape[0] // 3
        module.kdim = module.vdim = module.embed_dim
    else:
        module.embed_dim = module.q_proj_weight.shape[0]
        module.kdim, module.vdim = module.k_proj_weight.shape[1], module.v_proj_weight.shape[1]
    module.head_dim, module.num_heads = depth, module.embed_dim // depth


def _placed(module: nn.Module, labels: tuple, left: np.ndarray) -> nn.Module:
    """Return the shortcut from the remaining inputs to the remaining outputs."""
    assert isinstance(module, PlaceChannels)
    reads, makes = labels
    kept = np.flatnonzero(left[makes])
    if reads is None:
        return PlaceChannels([module.places[i] for i in kept], module.stride)
    now = {old: new for new, old in enumerate(np.flatnonzero(left[reads]).tolist())}
    return PlaceChannels([now.get(module.places[i], -1) for i in kept], module.stride)


def _cells(module: CompiledRNN) -> CompiledRNN:
    """Return a recurrent layer of the same cell for weights that were cut."""
    some = next(module.parameters())
    units = next(p.shape[-1] for n, p in module.named_parameters() if n != "on_x")
    on_x = dict(module.named_parameters()).get("on_x")
    smaller = CompiledRNN(
        module.cell,
        module.input_size if on_x is None else on_x.shape[2],
        units,
        backend=module.backend,
        weight_drop=module.weight_drop,
        frozen_recurrent=module.frozen_recurrent,
    )
    smaller.load_state_dict(module.state_dict())
    return smaller.to(some).train(module.training)


def replace_module(model: nn.Module, path: str, module: nn.Module) -> None:
    """Replace the module at a path."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
