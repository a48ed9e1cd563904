# SPDX-License-Identifier: Apache-2.0
"""BlockMask: torch's class, built in time of the blocks listed instead of all positions."""

import itertools
import math

import torch
from fovea._block_lists import cropped, dense, kept, picture, transposed
from fovea._library import ops
from fovea._trace import MASK, SCORE, count_parameters, trace_mod

_BLOCK = 128


def noop_mask(batch, head, token_q, token_kv):
    """Everything is allowed."""
    return batch.new_ones(size=(), dtype=torch.bool, device=batch.device)


def _sliced_mask_mod_error(batch, head, token_q, token_kv):
    raise RuntimeError(
        "Cannot use mask_mod from a sliced BlockMask: slicing drops it, because its positions are "
        "those of the whole mask. Set block_mask.mask_mod to one that fits the slice."
    )


def and_masks(*mask_mods):
    """The mask_mod that allows what all of them allow. RuntimeError for what is not callable."""
    _check_callable(mask_mods)

    def and_mask(b, h, q_idx, kv_idx):
        result = b.new_ones((), dtype=torch.bool)
        for mask in mask_mods:
            result = result & mask(b, h, q_idx, kv_idx)
        return result

    return and_mask


def or_masks(*mask_mods):
    """The mask_mod that allows what any of them allows. RuntimeError for what is not callable."""
    _check_callable(mask_mods)

    def or_mask(b, h, q_idx, kv_idx):
        result = b.new_zeros((), dtype=torch.bool)
        for mask in mask_mods:
            result = result | mask(b, h, q_idx, kv_idx)
        return result

    return or_mask


def _check_callable(mask_mods):
    if not all(callable(mask) for mask in mask_mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mask_mods}")


def mod_inputs(mod):
    """SCORE or MASK, by the number of parameters; AssertionError for any other."""
    count = count_parameters(mod)
    if count not in (4, 5):
        raise AssertionError(f"Expected 4 or 5 positional args, got {count}")
    return MASK if count == 4 else SCORE


def _pair(block_size):
    return (block_size, block_size) if isinstance(block_size, int) else tuple(block_size)


class BlockMask:
    """Which blocks of the (query x key) plane a mask leaves full, partial or empty.

    The attributes are torch's: seq_lengths, BLOCK_SIZE, mask_mod, and the index tensors
    kv_num_blocks
    [B, H, rows], kv_indices [B, H, rows, columns] (partial blocks), full_kv_*, and the transposed
    q_*, full_q_* (int32), made when they are first asked for. Usually from create_block_mask.
    """

    _TENSOR_ATTRS = (
        "kv_num_blocks",
        "kv_indices",
        "full_kv_num_blocks",
        "full_kv_indices",
        "q_num_blocks",
        "q_indices",
        "full_q_num_blocks",
        "full_q_indices",
    )

    def __init__(
        self,
        seq_lengths,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks=None,
        full_kv_indices=None,
        q_num_blocks=None,
        q_indices=None,
        full_q_num_blocks=None,
        full_q_indices=None,
        BLOCK_SIZE=(_BLOCK, _BLOCK),
        mask_mod=noop_mask,
        *,
        dq_write_order=None,
        dq_write_order_full=None,
        dq_kv_order=None,
        dq_kv_order_spt=None,
    ):
        if kv_num_blocks is None:
            raise AssertionError("kv_num_blocks must be provided")
        if kv_indices is None:
            raise AssertionError("kv_indices must be provided")
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        for side, a, b in (
            ("kv", full_kv_num_blocks, full_kv_indices),
            ("q", full_q_num_blocks, full_q_indices),
        ):
            if (a is None) != (b is None):
                raise AssertionError(
                    f"full_{side}_num_blocks and full_{side}_indices must be both provided or "
                    "omitted"
                )
        if dq_write_order_full is not None and dq_write_order is None:
            raise ValueError("dq_write_order_full requires dq_write_order")
        self._begin(tuple(seq_lengths), _pair(BLOCK_SIZE), mask_mod)
        self._lists = (
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            q_num_blocks,
            q_indices,
            full_q_num_blocks,
            full_q_indices,
        )
        self.dq_write_order = dq_write_order
        self.dq_write_order_full = dq_write_order_full
        self.dq_kv_order = dq_kv_order
        self.dq_kv_order_spt = dq_kv_order_spt

    def _begin(self, seq_lengths, block_size, mask_mod):
        self.seq_lengths = seq_lengths
        self.BLOCK_SIZE = block_size
        self.mask_mod = mask_mod
        self._handle = None  # the operators' name of it, for the mask_mod _handle_mod
        self._handle_mod = None
        self._lists = None
        self._separate = True
        self._device = None
        self.dq_write_order = self.dq_write_order_full = None
        self.dq_kv_order = self.dq_kv_order_spt = None

    @classmethod
    def _from_handle(cls, handle, seq_lengths, block_size, mask_mod, separate=True, device=None):
        mask = cls.__new__(cls)
        mask._begin(tuple(seq_lengths), tuple(block_size), mask_mod)
        mask._handle = handle
        mask._handle_mod = mask_mod
        mask._separate = separate
        mask._device = device
        return mask

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks=None,
        full_kv_indices=None,
        BLOCK_SIZE=_BLOCK,
        mask_mod=None,
        seq_lengths=None,
        compute_q_blocks=True,
        *,
        dq_write_order=None,
        dq_write_order_full=None,
        dq_kv_order=None,
    ):
        """A mask of the caller's lists: kv_num_blocks [.., rows], kv_indices [.., rows, columns],
        int32.

        seq_lengths: default rows and columns times BLOCK_SIZE. RuntimeError for kv_indices of less
        than 2 dimensions, AssertionError if one of the full_kv_* pair is missing, ValueError for a
        dq_kv_order that is no bool and no tensor.
        """
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError(
                "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
            )
        if dq_kv_order is not None and not isinstance(dq_kv_order, (bool, torch.Tensor)):
            raise ValueError("dq_kv_order must be a bool, Tensor, or None")
        block_size = _pair(BLOCK_SIZE)
        if seq_lengths is None:
            seq_lengths = (
                kv_indices.shape[-2] * block_size[0],
                kv_indices.shape[-1] * block_size[1],
            )
        columns = -(-seq_lengths[1] // block_size[1])
        by_column = (None, None, None, None)
        if compute_q_blocks:
            by_column = (*transposed(kv_num_blocks, kv_indices, columns), None, None)
            if full_kv_num_blocks is not None:
                by_column = (
                    *by_column[:2],
                    *transposed(full_kv_num_blocks, full_kv_indices, columns),
                )
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            *by_column,
            BLOCK_SIZE=block_size,
            mask_mod=mask_mod if mask_mod is not None else noop_mask,
            dq_write_order=dq_write_order,
            dq_write_order_full=dq_write_order_full,
            dq_kv_order=dq_kv_order if isinstance(dq_kv_order, torch.Tensor) else None,
            dq_kv_order_spt=dq_kv_order if isinstance(dq_kv_order, bool) else None,
        )

    def handle(self, device=None):
        """What the operators take: a tensor that names this mask in the library."""
        if self.mask_mod is _sliced_mask_mod_error:
            raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")
        if self._handle is not None and self._handle_mod is self.mask_mod:
            return self._handle
        mod = trace_mod(
            None if self.mask_mod is noop_mask else self.mask_mod,
            MASK,
            device or torch.device("cpu"),
        )
        if self._handle is not None:
            self._handle = ops.block_mask_with_mask_mod(self._handle, *mod.arguments())
        else:
            num, indices, full_num, full_indices = self._lists[:4]
            self._handle = ops.block_mask_from_kv_blocks(
                num,
                indices,
                full_num,
                full_indices,
                *mod.arguments(),
                *self.seq_lengths,
                *self.BLOCK_SIZE,
            )
        self._handle_mod = self.mask_mod
        return self._handle

    def _list(self, i):
        if self._lists is None:
            lists = ops.block_mask_lists(self._handle)
            if not self._separate:
                lists = [*lists[:2], None, None, *lists[4:6], None, None]
            if self._device is not None:
                lists = [x if x is None else x.to(self._device) for x in lists]
            self._lists = tuple(lists)
        return self._lists[i]

    def as_tuple(self, flatten=True):
        """The attributes in torch's order; with flatten=False lengths and block sizes stay
        pairs."""
        lengths = self.seq_lengths if flatten else (self.seq_lengths,)
        blocks = self.BLOCK_SIZE if flatten else (self.BLOCK_SIZE,)
        return (
            *lengths,
            *(self._list(i) for i in range(8)),
            self.dq_write_order,
            self.dq_write_order_full,
            self.dq_kv_order,
            self.dq_kv_order_spt,
            *blocks,
            self.mask_mod,
        )

    @property
    def shape(self):
        """Batch dimensions, q length, kv length."""
        if self._lists is None:
            batch, heads = ops.block_mask_info(self._handle)[:2]
            return (batch, heads, *self.seq_lengths)
        return (*self._lists[1].shape[:-2], *self.seq_lengths)

    def numel(self):
        return math.prod(self.shape)

    def sparsity(self):
        """Percent of blocks that are not computed; partial ones count as computed."""
        if self._lists is None:
            full, partial = ops.block_mask_info(self._handle)[6:8]
            computed = full + partial
        else:
            computed = int(self.kv_num_blocks.sum())
            if self.full_kv_num_blocks is not None:
                computed += int(self.full_kv_num_blocks.sum())
        size = self.numel()
        return (
            100 * (1 - computed * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1] / size) if size else 0.0
        )

    def to_dense(self):
        """[.., rows, columns] int32: 1 for each full or partial block."""
        columns = max(-(-self.seq_lengths[1] // self.BLOCK_SIZE[1]), 1)
        blocks = dense(self.kv_num_blocks, self.kv_indices, columns)
        if self.full_kv_num_blocks is not None:
            blocks = blocks | dense(self.full_kv_num_blocks, self.full_kv_indices, columns)
        return blocks

    def to_string(self, grid_size=(20, 20), limit=4):
        """A picture of up to `limit` planes: `██` full, `░░` partial, blank empty; at most
        grid_size
        cells (-1: a cell a block)."""
        blocks = self.to_dense()
        rows, columns = blocks.shape[-2:] if grid_size == -1 else _pair(grid_size)
        pictures = []
        for count, index in enumerate(itertools.product(*map(range, blocks.shape[:-2]))):
            if count == limit:
                pictures.append(
                    "...\nTo print out more, set BlockMask.to_string(limit=N)\nYou can also index "
                    "(BlockMask[batch, head]) to choose a specific batch or head"
                )
                break
            pictures.append(f"{index}\n" + picture(blocks[index].float(), rows, columns))
        return "\n".join(pictures)

    def __str__(self):
        drawn = self.to_string().strip()
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n{drawn}\n)"

    def __repr__(self):
        shapes = "".join(
            f"    {name}={None if x is None else x.shape},\n"
            for name, x in zip(self._TENSOR_ATTRS, (self._list(i) for i in range(8)), strict=False)
        )
        name = getattr(self.mask_mod, "__name__", self.mask_mod)
        return (
            f"BlockMask(\n{shapes}    BLOCK_SIZE={self.BLOCK_SIZE},\n    shape={self.shape},\n"
            f"    sparsity={self.sparsity():.2f}%,\n    mask_mod={name}\n)"
        )

    def __getitem__(self, index):
        """Some batch entries, heads and query blocks (up to 3 indices; an int keeps its
        dimension). The
        mask_mod is dropped: set one that fits before use. IndexError for more than 3 indices."""
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > 3:
            raise IndexError(
                f"too many indices for BlockMask: expected at most 3, got {len(index)}"
            )
        sizes = self.kv_num_blocks.shape[:3]
        index = tuple(
            kept(i, n)
            for i, n in zip((*index, slice(None), slice(None), slice(None)), sizes, strict=False)
        )

        def part(x):
            return None if x is None else x[index]

        q_len = self.seq_lengths[0]
        rows = self.kv_num_blocks[index].shape[-1]
        if rows != sizes[-1]:
            q_len = min(q_len, rows * self.BLOCK_SIZE[0])
        return BlockMask.from_kv_blocks(
            part(self.kv_num_blocks),
            part(self.kv_indices),
            part(self.full_kv_num_blocks),
            part(self.full_kv_indices),
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=_sliced_mask_mod_error,
            seq_lengths=(q_len, self.seq_lengths[1]),
            compute_q_blocks=self.q_indices is not None,
        )

    def _adjust(self, new_q_len, new_kv_len):
        """Cut (or extended within its last blocks) to the upper left corner of other lengths."""
        rows = -(-new_q_len // self.BLOCK_SIZE[0])
        columns = -(-new_kv_len // self.BLOCK_SIZE[1])
        return BlockMask.from_kv_blocks(
            *cropped(self.kv_num_blocks, self.kv_indices, rows, columns),
            *(
                (None, None)
                if self.full_kv_num_blocks is None
                else cropped(self.full_kv_num_blocks, self.full_kv_indices, rows, columns)
            ),
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
            seq_lengths=(new_q_len, new_kv_len),
            compute_q_blocks=self.q_indices is not None,
        )

    def to_torch(self):
        """The same mask as torch.nn.attention.flex_attention.BlockMask, for torch's own kernels.
        The other way: fovea.flex_attention takes either."""
        from torch.nn.attention.flex_attention import BlockMask as Theirs

        lists = (self._list(i) for i in range(8))
        return Theirs(self.seq_lengths, *lists, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod)

    def to(self, device):
        """The same mask with its index tensors on another device."""
        lists = [None if x is None else x.to(device) for x in (self._list(i) for i in range(8))]
        return BlockMask(
            self.seq_lengths, *lists, BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=self.mask_mod
        )


for _position, _name in enumerate(BlockMask._TENSOR_ATTRS):
    setattr(BlockMask, _name, property(lambda self, i=_position: self._list(i)))


def create_block_mask(
    mask_mod,
    B,
    H,
    Q_LEN,
    KV_LEN,
    device=None,
    BLOCK_SIZE=_BLOCK,
    _compile=False,
    separate_full_blocks=True,
    compute_dq_write_order=False,
    dq_kv_order=True,
):
    """The block mask of a mask_mod, by splitting boxes: at a cost of the blocks that it lists.

    mask_mod: (b, h, q_idx, kv_idx) -> bool. B, H: None means one plane for all. BLOCK_SIZE: an int
    or
    (query, key). The order of dQ writes has no meaning here: gradients are always deterministic.
    AssertionError for a score_mod, ValueError for a dq_kv_order that is no bool.
    """
    # A graph is traced from code that has run, or fails while it is traced.
    if not torch.compiler.is_compiling() and mod_inputs(mask_mod) != MASK:
        raise AssertionError(f"create-block_mask requires a mask_mod function! Got {mask_mod}")
    if not isinstance(dq_kv_order, bool):
        raise ValueError("dq_kv_order must be a bool when using create_block_mask")
    device = torch.device(device) if device is not None else torch.device("cpu")
    block_size = _pair(BLOCK_SIZE)
    mod = trace_mod(mask_mod, MASK, device)
    handle = ops.create_block_mask(
        *mod.arguments(), 1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN, *block_size
    )
    mask = BlockMask._from_handle(
        handle, (Q_LEN, KV_LEN), block_size, mask_mod, separate_full_blocks, device
    )
    mask._planes = (1 if B is None else B, 1 if H is None else H)
    return mask


def create_mask(mod_fn, B, H, Q_LEN, KV_LEN, device=None):
    """[B, H, Q_LEN, KV_LEN] bool: every position by itself. Of a score_mod: where it gives no
    -inf."""
    inputs = mod_inputs(mod_fn)
    sizes = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    device = torch.device(device) if device is not None else torch.device("cpu")
    mod = trace_mod(mod_fn, MASK, device) if inputs == MASK else _hides(mod_fn, device)
    return ops.create_mask(*mod.arguments(), *sizes).to(device)


def _hides(score_mod, device):
    """The mask_mod of a score_mod: where a score of 0 does not become -inf."""

    def mask(b, h, q_idx, kv_idx):
        result = score_mod(b * 0.0, b, h, q_idx, kv_idx)
        return result != float("-inf")

    return trace_mod(mask, MASK, device)


def as_block_mask(mask):
    """Ours, of ours or torch's BlockMask."""
    if isinstance(mask, BlockMask):
        return mask
    lists = [getattr(mask, name) for name in BlockMask._TENSOR_ATTRS]
    return BlockMask(
        mask.seq_lengths, *lists, BLOCK_SIZE=tuple(mask.BLOCK_SIZE), mask_mod=_ours(mask.mask_mod)
    )


def _ours(mask_mod):
    from torch.nn.attention import flex_attention as theirs

    if mask_mod is theirs.noop_mask:
        return noop_mask
    if mask_mod is theirs._sliced_mask_mod_error:
        return _sliced_mask_mod_error
    return mask_mod
