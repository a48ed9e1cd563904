# SPDX-License-Identifier: Apache-2.0
"""torch.vmap of the operators: the mapped dimension is folded into the batch."""

import torch
from fovea._library import ops

_TENSORS = 3  # query, key, value come first


def _folded(x, dim, size):
    """(size * batch, ...) of a tensor that is mapped along `dim`, or not (None)."""
    x = x.unsqueeze(0).expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return x.reshape(-1, *x.shape[2:])


def _with_batch_index(text, batch):
    """The program on folded batches: its b is what it was before."""
    if not text:
        return text
    header, body = text.split("{", 1)
    return header.replace(" b,", " folded,", 1).replace("(b,", "(folded,", 1) + (
        f"{{\n  b = folded % ({batch})" + body
    )


def _refuse_mapped(names, dims):
    for name, dim in zip(names, dims, strict=True):
        mapped = (
            any(d is not None for d in dim) if isinstance(dim, (list, tuple)) else dim is not None
        )
        if mapped:
            raise NotImplementedError(
                f"[vmap of flex_attention] {name}: expected a tensor that is not mapped over, "
                "got one that "
                "is (map over query, key and value, or loop)"
            )


def flex_attention(info, in_dims, *arguments):
    """(out, lse, max_scores) with the mapped dimension in front."""
    query, key, value, score, *rest = arguments
    names = [a.name for a in ops.flex_attention.default._schema.arguments]
    _refuse_mapped(names[_TENSORS:], in_dims[_TENSORS:])
    mask = arguments[names.index("block_mask")]
    if mask is not None and ops.block_mask_info(mask)[0] != 1:
        raise NotImplementedError(
            "[vmap of flex_attention] block_mask: expected one plane for all batch entries "
            "(B=None), got "
            f"{ops.block_mask_info(mask)[0]}"
        )
    size = info.batch_size
    batch = query.shape[0 if in_dims[0] is None else (in_dims[0] == 0)]
    rows = [_folded(x, d, size) for x, d in zip((query, key, value), in_dims, strict=False)]
    weight = names.index("weight_mod")
    rest = list(arguments[_TENSORS:])
    rest[0] = _with_batch_index(score, batch)
    rest[weight - _TENSORS] = _with_batch_index(arguments[weight], batch)
    results = ops.flex_attention(*rows, *rest)
    return tuple(x.reshape(size, -1, *x.shape[1:]) if x.numel() else x for x in results), tuple(
        0 if x.numel() else None for x in results
    )


def merge_attention(info, in_dims, outs, lses):
    """(out, lse) with the mapped dimension in front."""
    out_dims, lse_dims = in_dims
    size = info.batch_size
    outs = [_folded(x, d, size) for x, d in zip(outs, out_dims, strict=True)]
    lses = [_folded(x, d, size) for x, d in zip(lses, lse_dims, strict=True)]
    out, lse = ops.merge_attention(outs, lses)
    return tuple(x.reshape(size, -1, *x.shape[1:]) for x in (out, lse)), (0, 0)


torch.library.register_vmap("fovea::flex_attention", flex_attention)
torch.library.register_vmap("fovea::merge_attention", merge_attention)
