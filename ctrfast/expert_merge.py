"""Merge experts into one dense layer, each by the directions in which it does most.

    W_i = sum over r of s_ir u_ir v_ir^T                     singular values s_i1 >= s_i2 >= ...
    W   = sum over experts i of g_i sum over r <= rank of s_ir u_ir v_ir^T
    b   = sum over experts i of g_i b_i                      g_i: the expert's mean gate

A gate that were the same for all rows, with a rank that leaves nothing out, makes the layer equal to the mixture.

Source: Xue et al. 2022, "One Student Knows All Experts Know", arXiv:2201.10890 (knowledge gathering by SVD).
Differs from the source: experts count by their gates on training rows; ranks are equal, and together as many as the
layer can have.

    kernel, bias = merge_experts(kernels, biases, gates)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def merge_experts(kernels: Floats, biases: Floats, gates: Floats, rank: int | None = None) -> tuple[Floats, Floats]:
    """One layer for a mixture.

    Args:
        kernels: of the experts, (E, H, H').
        biases: of the experts, (E, H').
        gates: mean weight of each expert, (E,), 0 for one that no row takes.
        rank: directions that each expert keeps; by default min(H, H') / E, rounded up.

    Returns: kernel (H, H') and bias (H',), float32.
    """
    experts, inward, outward = kernels.shape
    rank = rank or -(-min(inward, outward) // experts)
    kernel = np.zeros((inward, outward))
    for gate, expert in zip(gates, kernels, strict=True):
        left, values, right = np.linalg.svd(expert.astype(np.float64), full_matrices=False)
        kernel += gate * (left[:, :rank] * values[:rank]) @ right[:rank]
    return kernel.astype(np.float32), (gates @ biases).astype(np.float32)
