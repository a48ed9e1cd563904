# SPDX-License-Identifier: Apache-2.0
"""fovea's block masks against PyTorch's: the same lists, for every mask, length and block size."""

import itertools

import fovea_capi
import numpy
import pytest
from torch.nn.attention import flex_attention as flex
from torch_masks import masks_for

import torch

LENGTHS = ((1, 1), (127, 127), (128, 256), (129, 300), (300, 129), (1, 1000), (1000, 1000))
BLOCK_SIZES = ((16, 16), (64, 64), (128, 128), (128, 64))
NAMES = tuple(masks_for(1, 1))


def program_of(mask):
    return fovea_capi.Program(mask.text, mask.captures)


def fovea_mask(mask, q_len, kv_len, block_size):
    """With as many planes as PyTorch stores."""
    made = fovea_capi.BlockMask(program_of(mask), q_len, kv_len, mask.batch, mask.heads, block_size)
    return made.expanded(mask.batch, mask.heads)


def torch_mask(mod, q_len, kv_len, block_size, batch=1, heads=1, **options):
    return flex.create_block_mask(
        mod, batch, heads, q_len, kv_len, device="cpu", BLOCK_SIZE=block_size, **options
    )


def both(mask, q_len, kv_len, block_size):
    ours = fovea_mask(mask, q_len, kv_len, block_size)
    mod = mask.torch_mod()
    return ours, torch_mask(mod, q_len, kv_len, block_size, mask.batch, mask.heads)


def listed(counts, indices):
    """Of each line only what it lists; PyTorch leaves the rest undefined."""
    beyond = numpy.arange(indices.shape[-1]) >= counts[..., None]
    return numpy.where(beyond, -1, indices)


def same_lists(ours, theirs, axes=("kv", "q")):
    lists = ours.lists()
    for prefix, axis in itertools.product(("", "full_"), axes):
        counts, indices = f"{prefix}{axis}_num_blocks", f"{prefix}{axis}_indices"
        expected_counts, expected = getattr(theirs, counts), getattr(theirs, indices)
        if expected is None:  # no full blocks apart
            assert lists[counts].sum() == 0
            continue
        expected_counts, expected = expected_counts.numpy(), expected.numpy()
        numpy.testing.assert_array_equal(lists[counts], expected_counts, counts)
        got = listed(lists[counts], lists[indices])
        # The capacity of a line may differ: PyTorch takes it from what it was given.
        width = min(got.shape[-1], expected.shape[-1])
        numpy.testing.assert_array_equal(
            got[..., :width], listed(expected_counts, expected)[..., :width], indices
        )


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_classification(name, lengths):
    mask = masks_for(*lengths)[name]
    for block_size in BLOCK_SIZES:
        ours, theirs = both(mask, *lengths, block_size)
        # What stands behind the listed blocks is the same, too.
        for key, got in ours.lists().items():
            numpy.testing.assert_array_equal(
                got, getattr(theirs, key).numpy(), f"{key} of {block_size}"
            )
        info = ours.info()
        assert (info.batch, info.heads, info.q_len, info.kv_len) == theirs.shape
        numpy.testing.assert_array_equal(
            ours.kinds(mask.batch - 1, mask.heads - 1) != 0, theirs.to_dense()[-1, -1].numpy()
        )


@pytest.mark.parametrize("name", NAMES)
def test_positions(name):
    mask = masks_for(129, 300)[name]
    expected = flex.create_mask(mask.torch_mod(), mask.batch, mask.heads, 129, 300, device="cpu")
    got = fovea_capi.create_mask(program_of(mask), 129, 300, mask.batch, mask.heads)
    numpy.testing.assert_array_equal(got, expected.numpy())


@pytest.mark.parametrize("name", NAMES)
def test_sparsity(name):
    """Of whole blocks: PyTorch's takes a part of a block for a whole one, and may be negative."""
    ours, theirs = both(masks_for(384, 512)[name], 384, 512, (64, 32))
    percent = float(str(ours).split("sparsity=")[1].split("%")[0])
    assert percent == pytest.approx(theirs.sparsity(), abs=0.00501)


def test_planes_are_repeated():
    """A mask that reads neither b nor h is stored once; PyTorch stores it for each of them."""
    mask = masks_for(300, 300)["causal documents"]
    ours = fovea_capi.BlockMask(program_of(mask), 300, 300, 2, 3, (64, 64))
    assert (ours.info().batch, ours.info().heads) == (1, 1)
    theirs = torch_mask(mask.torch_mod(), 300, 300, (64, 64), 2, 3)
    same_lists(ours.expanded(2, 3), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_without_full_blocks(name):
    mask = masks_for(300, 129)[name]
    theirs = torch_mask(
        mask.torch_mod(), 300, 129, (64, 16), mask.batch, mask.heads, separate_full_blocks=False
    )
    same_lists(fovea_mask(mask, 300, 129, (64, 16)).without_full_blocks(), theirs)


PAIRS = tuple(zip(NAMES, NAMES[7:] + NAMES[:7], strict=True))


@pytest.mark.parametrize("names", PAIRS, ids=" with ".join)
def test_and_or_not(names):
    q_len, kv_len, block_size = 300, 257, (64, 32)
    masks = masks_for(q_len, kv_len)
    one, other = masks[names[0]], masks[names[1]]
    batch, heads = max(one.batch, other.batch), max(one.heads, other.heads)

    def stored(mask):
        return fovea_capi.BlockMask(
            program_of(mask), q_len, kv_len, mask.batch, mask.heads, block_size
        )

    def compare(ours, mod):
        theirs = torch_mask(mod, q_len, kv_len, block_size, batch, heads)
        same_lists(ours.expanded(batch, heads), theirs)

    a, b = stored(one), stored(other)
    a_mod, b_mod = one.torch_mod(), other.torch_mod()
    compare(a & b, flex.and_masks(a_mod, b_mod))
    compare(a | b, flex.or_masks(a_mod, b_mod))
    compare(~a, lambda b, h, q, kv: ~a_mod(b, h, q, kv))
    compare(
        a & ~(a & b),
        flex.and_masks(a_mod, lambda b, h, q, kv: ~(a_mod(b, h, q, kv) & b_mod(b, h, q, kv))),
    )


INDICES = (
    (1,),
    (-1, 2),
    (0, 0, 3),
    (0, 0, -1),
    (slice(None), -2, slice(1, 3)),
    (slice(0, 1), slice(1, None), slice(None, None, 2)),
    (slice(None), slice(None), slice(-2, None)),
    (slice(5, 9), 0),
    ([1, 0],),
    (slice(None), [2, 0, 2]),
    (1, slice(None), [3, 1, 1, 4]),
)


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("name", ["batched documents", "video tiles"])
def test_indexing(name, index):
    mask = masks_for(300, 300)[name]
    ours, theirs = both(mask, 300, 300, (64, 64))
    same_lists(ours[index], theirs[tuple(map(as_torch_index, index))])


def as_torch_index(axis):
    return torch.tensor(axis) if isinstance(axis, list) else axis


def test_indexing_outside():
    mask = masks_for(300, 300)["batched documents"]
    ours = fovea_mask(mask, 300, 300, (64, 64))
    with pytest.raises(fovea_capi.FoveaError, match="batch index must be inside the mask"):
        ours[2]


def cropped(indices, counts, columns):
    """Of the lists the blocks in the first columns."""
    return [
        [[[i for i in line[:n] if i < columns] for line, n in zip(*x, strict=True)] for x in plane]
        for plane in [zip(*p, strict=True) for p in zip(indices, counts, strict=True)]
    ]


@pytest.mark.parametrize("lengths", [(300, 257), (120, 300), (1, 65), (128, 128)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_adjust(name, lengths):
    """PyTorch's _adjust keeps blocks of some masks that lie beyond the new kv_len; ours never."""
    mask = masks_for(300, 300)[name]
    ours, theirs = both(mask, 300, 300, (64, 32))
    lists = ours.adjusted(*lengths).lists()
    rows, columns = -(-lengths[0] // 64), -(-lengths[1] // 32)
    for prefix in ("", "full_"):
        got = cropped(
            lists[f"{prefix}kv_indices"].tolist(), lists[f"{prefix}kv_num_blocks"], columns
        )
        expected = cropped(
            getattr(theirs, f"{prefix}kv_indices")[:, :, :rows].tolist(),
            getattr(theirs, f"{prefix}kv_num_blocks")[:, :, :rows],
            columns,
        )
        assert got == expected
        assert lists[f"{prefix}kv_indices"].shape[2:] == (rows, columns)
    if lengths[1] == 300 or name in ("empty", "causal"):
        same_lists(ours.adjusted(*lengths), theirs._adjust(*lengths))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("with_full", [True, False], ids=["full", "no full"])
@pytest.mark.parametrize("name", ["causal", "bigbird", "batched documents"])
def test_from_kv_blocks(name, with_full, dtype):
    """Lists in any order, both ways."""
    mask = masks_for(300, 400)[name]
    made = both(mask, 300, 400, (64, 32))[1]
    generator = torch.Generator().manual_seed(3)

    def tensors(prefix):
        counts = getattr(made, f"{prefix}kv_num_blocks")
        indices = getattr(made, f"{prefix}kv_indices").clone()
        for at in itertools.product(*map(range, counts.shape)):
            n = int(counts[at])
            indices[at][:n] = indices[at][:n][torch.randperm(n, generator=generator)]
        return counts.to(dtype), indices.to(dtype)

    lists = (*tensors(""), *tensors("full_")) if with_full else tensors("")
    ours = fovea_capi.BlockMask.from_kv_blocks(
        *lists, block_size=(64, 32), mask_mod=program_of(mask), seq_lengths=(300, 400)
    )
    expected = [tensor.to(torch.int32) for tensor in lists]
    theirs = flex.BlockMask.from_kv_blocks(*expected, BLOCK_SIZE=(64, 32), seq_lengths=(300, 400))
    same_lists(ours, theirs)
    shape = ours.info()
    assert (shape.batch, shape.heads, shape.q_len, shape.kv_len) == theirs.shape


def test_from_compact_kv_blocks():
    """Fewer columns than there are blocks; lengths by default from the shapes."""
    counts = torch.tensor([[[2, 0, 1]]], dtype=torch.int32)
    indices = torch.tensor([[[[6, 2], [0, 0], [5, 9]]]], dtype=torch.int32)
    theirs = flex.BlockMask.from_kv_blocks(
        counts, indices, BLOCK_SIZE=(16, 8), seq_lengths=(40, 56), compute_q_blocks=False
    )
    ours = fovea_capi.BlockMask.from_kv_blocks(
        counts, indices, block_size=(16, 8), seq_lengths=(40, 56)
    )
    same_lists(ours, theirs, axes=("kv",))
    lists = ours.lists()
    assert lists["q_num_blocks"].tolist() == [[[0, 0, 1, 0, 0, 1, 1]]]
    assert [line[0] for line in lists["q_indices"][0, 0]] == [0, 0, 0, 0, 0, 2, 0]

    whole = torch.tensor([[[[1, 0], [0, 1], [0, 1]]]], dtype=torch.int32)
    theirs = flex.BlockMask.from_kv_blocks(counts, whole, BLOCK_SIZE=(16, 8))
    ours = fovea_capi.BlockMask.from_kv_blocks(counts, whole, block_size=(16, 8))
    same_lists(ours, theirs)
    assert (ours.info().q_len, ours.info().kv_len) == theirs.seq_lengths


@pytest.mark.parametrize("name", NAMES)
def test_transposed(name):
    mask = masks_for(300, 300)[name]
    mod = mask.torch_mod()
    theirs = torch_mask(
        lambda b, h, q, kv: mod(b, h, kv, q), 300, 200, (32, 64), mask.batch, mask.heads
    )
    same_lists(fovea_mask(mask, 200, 300, (64, 32)).transposed(), theirs)


@pytest.mark.parametrize("name", NAMES)
def test_decode_slice_of_a_block_row(name):
    mask = masks_for(300, 300)[name]
    ours, theirs = both(mask, 300, 300, (64, 64))
    for row in range(5):
        count = min(64, 300 - 64 * row)
        same_lists(ours.decode_slice(64 * row, count), theirs[:, :, row])
