# SPDX-License-Identifier: Apache-2.0
"""PyTorch's padded lists of blocks: made dense, turned, cut, drawn."""

import torch


def kept(index, size):
    if isinstance(index, int):
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of bounds for dimension with size {size}")
        index %= size
        return slice(index, index + 1)
    return index


def dense(num_blocks, indices, columns):
    """[.., rows, columns] int32 of lists."""
    dense = indices.new_zeros(*indices.shape[:-1], columns + 1, dtype=torch.int32)
    listed = torch.arange(indices.shape[-1], device=indices.device) < num_blocks.unsqueeze(-1)
    # What is not listed may hold anything: it goes to the column that is cut off.
    target = torch.where(listed, indices.long(), columns)
    dense.scatter_(-1, target, 1)
    return dense[..., :columns].contiguous()


def lists_of(dense):
    num_blocks = dense.sum(-1, dtype=torch.int32)
    indices = torch.argsort(dense, dim=-1, descending=True, stable=True).to(torch.int32)
    return num_blocks.contiguous(), indices.contiguous()


def transposed(num_blocks, indices, columns):
    return lists_of(dense(num_blocks, indices, columns).transpose(-2, -1))


def cropped(num_blocks, indices, rows, columns):
    num_blocks, indices = num_blocks[..., :rows], indices[..., :rows, :]
    listed = torch.arange(indices.shape[-1], device=indices.device) < num_blocks.unsqueeze(-1)
    kept = listed & (indices < columns)
    order = torch.argsort(kept.to(torch.int8), dim=-1, descending=True, stable=True)
    cropped = torch.gather(indices, -1, order)[..., :columns]
    return kept.sum(-1, dtype=torch.int32), cropped.contiguous()


def picture(dense, most_rows, most_columns):
    row_step = max(1, -(-dense.shape[0] // most_rows))
    column_step = max(1, -(-dense.shape[1] // most_columns))
    text = ""
    for r in range(0, dense.shape[0], row_step):
        for c in range(0, dense.shape[1], column_step):
            share = float(dense[r : r + row_step, c : c + column_step].mean())
            text += ("█" if share == 1 else " " if share == 0 else "░") * 2
        text += "\n"
    return text
