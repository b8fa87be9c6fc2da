"""The matrix product, for any sizes and strides."""

import pytest
import torch

from kernels.cell.cpu.products import multiply

SIZES = [(1, 1, 1), (13, 7, 5), (25, 300, 33), (130, 17, 70), (3, 0, 4)]  # M, K, N


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_it_agrees_with_torchs_product(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    rows, depth, columns = size
    generator = torch.Generator().manual_seed(0)

    def variants(m: int, n: int):
        yield torch.randn(m, n, generator=generator, dtype=dtype)
        yield torch.randn(n, m, generator=generator, dtype=dtype).T
        yield torch.randn(m, 3 * n + 1, generator=generator, dtype=dtype)[:, 1 : n + 1]

    for a in variants(rows, depth):
        for b in variants(columns, depth):
            exact = a.double() @ b.double().T
            tolerance = 1e-4 if dtype == torch.float32 else 1e-12
            assert (multiply(a, b) - exact).abs().max() < tolerance
