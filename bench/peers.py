# SPDX-License-Identifier: Apache-2.0
"""The peers on the CPU: torch's scaled_dot_product_attention and compiled FlexAttention, jax's
attention, and the chunked attention of memory-efficient-attention."""

import shutil
import time
import warnings

import numpy


def import_torch(threads):
    """torch with its thread count set, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return torch


def sdpa(torch, query, key, value, causal=False, mask=None):
    """A callable that runs it once and returns the output tensor."""
    function = torch.nn.functional.scaled_dot_product_attention
    return lambda: function(query, key, value, attn_mask=mask, is_causal=causal)


def backward_of(torch, forward, inputs, dout):
    """Runs forward() once; a callable that gives the gradients of `inputs` again and again."""
    with torch.enable_grad():
        out = forward()

    def run():
        with torch.enable_grad():
            return torch.autograd.grad(out, inputs, dout, retain_graph=True)

    return run


def import_jax():
    """jax, or None. Call it after torch is there: both bring an OpenMP of their own."""
    try:
        import jax
    except ImportError:
        return None
    return jax


def jax_attention(jax, query, key, value):
    """{peer: callable} of jax's own attention and of Rabe and Staats' chunks, compiled."""
    from memory_efficient_attention import efficient_dot_product_attention_jax

    functions = {
        "jax-sdpa": jax.nn.dot_product_attention,
        "jax-chunked": efficient_dot_product_attention_jax,
    }
    arrays = [jax.device_put(numpy.swapaxes(array, 1, 2)) for array in (query, key, value)]

    def ready(function):
        compiled = jax.jit(function).lower(*arrays).compile()
        return lambda: numpy.swapaxes(compiled(*arrays).block_until_ready(), 1, 2)

    return {name: ready(function) for name, function in functions.items()}


def torch_chunked(torch, query, key, value):
    from memory_efficient_attention import efficient_dot_product_attention_pt

    warnings.filterwarnings("ignore", module=r"torch\..*")  # it always checkpoints
    turned = [tensor.transpose(1, 2) for tensor in (query, key, value)]
    return lambda: efficient_dot_product_attention_pt(*turned).transpose(1, 2)


def flex_obstacle(torch):
    """Why compiled FlexAttention cannot run here, or None."""
    if torch is None:
        return "no torch"
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        return "no C++ compiler, which torch.compile needs on the CPU"
    return None


class Flex:
    """torch.compile(flex_attention). Only the callable prepared last is compiled."""

    def __init__(self, torch):
        from torch.nn.attention import flex_attention

        warnings.filterwarnings("ignore", module=r"torch\..*")
        self.torch, self.module = torch, flex_attention
        self.compiled = torch.compile(flex_attention.flex_attention, dynamic=False, fullgraph=True)

    def mask(self, mask_mod, q_len, kv_len):
        """The BlockMask of a mask_mod (block 128), built by torch."""
        return self.module.create_block_mask(mask_mod, None, None, q_len, kv_len, device="cpu")

    def prepare(self, query, key, value, score_mod=None, mask_mod=None):
        """(callable, seconds of the first call, which compiles)."""
        block_mask = None
        if mask_mod is not None:
            block_mask = self.mask(mask_mod, query.shape[2], key.shape[2])

        def run():
            return self.compiled(query, key, value, score_mod=score_mod, block_mask=block_mask)

        self.torch.compiler.reset()  # else every call would check the guards of all variants so far
        start = time.perf_counter()
        run()
        return run, time.perf_counter() - start


def mask_kinds(mask):
    """A torch BlockMask's plane (0, 0) as a (rows, columns) array: 0 skipped, 1 partial, 2 full."""
    rows, columns = mask.kv_indices.shape[-2:]
    kinds = numpy.zeros((rows, columns), numpy.uint8)
    lists = [(1, mask.kv_num_blocks, mask.kv_indices)]
    if mask.full_kv_num_blocks is not None:
        lists.append((2, mask.full_kv_num_blocks, mask.full_kv_indices))
    for kind, counts, indices in lists:
        counts, indices = counts[0, 0].numpy(), indices[0, 0].numpy()
        for row in range(rows):
            kinds[row, indices[row, : counts[row]]] = kind
    return kinds


def sdpa_loop(torch):
    """A TorchScript loop of n calls: what SDPA costs without Python around it."""
    # Each call reads the one before, else TorchScript would merge them.
    source = """
def loop(q, k, v, n: int):
    for _ in range(n):
        q = torch._C._nn.scaled_dot_product_attention(q, k, v)
    return q
"""
    warnings.filterwarnings("ignore", message=r".*torch\.jit.*")
    return torch.jit.CompilationUnit(source).loop
