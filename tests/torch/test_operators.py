# SPDX-License-Identifier: Apache-2.0
"""Every operator keeps torch's rules: schema, fake tensors, autograd, AOT dispatch."""

import pytest
from fovea._library import ops

import torch

TEXT = (
    "score_mod(score, b, h, q, kv; t0: f32[1], t1: i64[1], n0: i32) {\n"
    "  return score + t0[t1[q] - kv + n0]\n}"
)
CAUSAL = "mask_mod(b, h, q, kv; n0: i32) {\n  return q + n0 >= kv\n}"


def qkv(grad):
    return [torch.randn(1, 2, 16, 8, requires_grad=grad) for _ in range(3)]


def mods():
    table = torch.randn(31, requires_grad=True)
    return (TEXT, [table, torch.arange(16)], [15], [], "", [], [], [])


def rest():
    """Mask, sinks, cu_seqlens, pages, lengths; causal and scale."""
    return (None, None, None, None, None, None, 0, None)


def a_mask():
    return ops.create_block_mask(CAUSAL, [], [0], [], 1, 1, 300, 300, 128, 128)


def backward_arguments():
    query, key, value = qkv(False)
    out, lse, _ = ops.flex_attention(query, key, value, *mods(), *rest(), False)
    out, lse = out.detach(), lse.detach()
    score, captures, *others = mods()
    captures = [x.detach() for x in captures]
    dout, dlse = torch.randn_like(out), torch.randn_like(lse)
    tensors = (dout, dlse, query, key, value, out, lse, score, captures, *others)
    return (*tensors, *rest(), [1, 1, 1, 0, 1, 0])


def lists():
    return ops.block_mask_lists(a_mask())


ARGUMENTS = {
    "flex_attention": lambda: (*qkv(True), *mods(), *rest(), False),
    "flex_attention_backward": backward_arguments,
    "decode": lambda: (*qkv(True), *mods(), *rest()),
    "explain": lambda: (*qkv(False), *mods(), *rest()),
    "merge_attention": lambda: (
        [torch.randn(1, 2, 3, 4, requires_grad=True) for _ in range(2)],
        [torch.randn(1, 2, 3, requires_grad=True) for _ in range(2)],
    ),
    "create_block_mask": lambda: (CAUSAL, [], [0], [], 1, 1, 300, 300, 128, 128),
    "block_mask_from_kv_blocks": lambda: (*lists()[:4], CAUSAL, [], [0], [], 300, 300, 128, 128),
    "block_mask_info": lambda: (a_mask(),),
    "block_mask_lists": lambda: (a_mask(),),
    "create_mask": lambda: (CAUSAL, [], [0], [], 1, 1, 9, 9),
    "block_mask_to_string": lambda: (a_mask(), 0, 0, 8, 8),
    "block_mask_index": lambda: (a_mask(), [0], [0], [1, 2]),
    "block_mask_adjusted": lambda: (a_mask(), 200, 300),
    "block_mask_with_mask_mod": lambda: (a_mask(), CAUSAL, [], [3], []),
}
# What torch.compile may meet in a graph. The others look into a mask, which exists by then: they
# are made of Python values, or of lists whose sizes only the mask knows.
IN_GRAPHS = ("flex_attention", "flex_attention_backward", "decode", "merge_attention")
FAKE = (*IN_GRAPHS, "create_block_mask")


def test_every_operator_is_here():
    every = torch._C._dispatch_get_all_op_names()
    names = {name.removeprefix("fovea::") for name in every if name.startswith("fovea::")}
    assert names == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_opcheck(name):
    torch.manual_seed(0)
    utilities = ["test_schema", "test_autograd_registration"]
    if name in FAKE:
        utilities.append("test_faketensor")
    if name in IN_GRAPHS:  # each mask has a name of its own, so that two calls never agree
        utilities.append("test_aot_dispatch_dynamic")
    torch.library.opcheck(getattr(ops, name).default, ARGUMENTS[name](), test_utils=utilities)
