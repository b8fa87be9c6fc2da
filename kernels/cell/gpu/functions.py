"""The functions that generated Triton kernels call."""

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def tanh(x):
    """Compute tanh from e^-2|x|, or in float32 near 0 from Cephes' odd polynomial (Moshier)."""
    e = tl.exp(-2 * tl.abs(x))
    far = tl.where(x < 0, e - 1, 1 - e) / (1 + e)
    if x.dtype == tl.float64:
        return far
    z = x * x
    p = -5.70498872745e-3 * z + 2.06390887954e-2
    p = p * z - 5.37397155531e-2
    p = p * z + 1.33314422036e-1
    p = p * z - 3.33332819422e-1
    return tl.where(z < 0.390625, p * z * x + x, far)


@triton.jit
def exp(x):
    return tl.exp(x)


@triton.jit
def log(x):
    return tl.log(x)


@triton.jit
def sqrt(x):
    return tl.sqrt(x)


@triton.jit
def softplus(x):
    """Compute log(1 + e^x); log(1 + e) is e for small e."""
    e = tl.exp(-tl.abs(x))
    return tl.where(x > 0, x, 0) + tl.where(e < 1e-4, e - 0.5 * e * e, tl.log(1 + e))


@triton.jit
def normal_cdf(x):
    return 0.5 * (1 + tl.erf(x * 0.7071067811865476))


@triton.jit
def maximum(x, y):
    return tl.where((x > y) | (x != x), x, y)  # keeps NaN


@triton.jit
def minimum(x, y):
    return tl.where((x < y) | (x != x), x, y)


@triton.jit
def times(factors, matrix, total):
    """Return total + factors·matrix, summed in the type of `total`.

    float32 uses three TF32 products, which are as exact as float32. A single TF32 product rounds
    the factors to 10 bits, and without matrix units Triton 3.9 unrolls too much to compile.
    """
    return tl.dot(
        factors.to(matrix.dtype), matrix, total, input_precision="tf32x3", out_dtype=total.dtype
    )
