# SPDX-License-Identifier: Apache-2.0
"""ctypes wrapper of bench/capi: fovea on torch tensors and numpy arrays, without copies.

For benchmarks and tests only. Handles keep the arrays that they read alive. Failures raise
FoveaError with fovea's own message.
"""

import ctypes
import math
import os
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
DTYPES = ("float64", "float32", "bfloat16", "float16", "int64", "int32", "int16", "int8", "uint8")
DTYPE_CODES = {name: code for code, name in enumerate((*DTYPES, "bool"))}
STATUS = ("ok", "InvalidArgument", "Unsupported", "CompileError", "InternalError", "Error")
MAX_RANK = 16


class FoveaError(RuntimeError):
    """A failed call; `kind` is the class of the C++ error."""

    def __init__(self, status, message):
        super().__init__(message)
        self.kind = STATUS[status]


class CTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("sizes", ctypes.c_int64 * MAX_RANK),
        ("strides", ctypes.c_int64 * MAX_RANK),
    ]


class CCall(ctypes.Structure):
    _fields_ = [
        ("query", CTensor),
        ("key", CTensor),
        ("value", CTensor),
        ("out", CTensor),
        ("lse", CTensor),
        ("score_mod", ctypes.c_void_p),
        ("block_mask", ctypes.c_void_p),
        ("executor", ctypes.c_void_p),
        ("scale", ctypes.c_double),
        ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_size_t),
        ("backend", ctypes.c_char_p),
    ]


class CMaskOptions(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("q_len", "kv_len", "batch", "heads", "block_q", "block_kv")
    ]


class CMaskInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("q_len", "kv_len", "batch", "heads"),
            *("full", "partial", "skipped", "rows", "columns", "memory_bytes"),
            *("boxes", "leaves", "leaf_evaluations"),
        )
    ]


LIST_NAMES = tuple(
    prefix + axis + suffix
    for axis in ("kv_", "q_")
    for prefix in ("", "full_")
    for suffix in ("num_blocks", "indices")
)
NONE = -(2**63)  # an absent number


class CPaddedLists(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in LIST_NAMES]


class CKvBlocks(ctypes.Structure):
    _fields_ = [
        *[(name, CTensor) for name in LIST_NAMES[:4]],
        *[(name, ctypes.c_int64) for name in ("block_q", "block_kv", "q_len", "kv_len")],
    ]


class CBlockIndex(ctypes.Structure):
    _fields_ = [
        ("list", ctypes.POINTER(ctypes.c_int64)),
        *[(name, ctypes.c_int64) for name in ("count", "begin", "end", "step")],
    ]


def find_library():
    """FOVEA_CAPI_LIBRARY, else the release build of this checkout."""
    named = os.environ.get("FOVEA_CAPI_LIBRARY")
    if named:
        return Path(named)
    found = sorted((ROOT / "build" / "release").rglob("libfovea_capi.so"))
    if not found:
        raise FileNotFoundError(
            "libfovea_capi.so: expected in build/release, found none. "
            "`./run bench` builds it; FOVEA_CAPI_LIBRARY names another one"
        )
    return found[0]


_library = None


def library():
    global _library
    if _library is None:
        _library = ctypes.CDLL(str(find_library()))
        _library.fovea_capi_last_error.restype = ctypes.c_char_p
        for kind in ("program", "block_mask", "executor"):
            free = getattr(_library, f"fovea_capi_{kind}_free")
            free.argtypes, free.restype = [ctypes.c_void_p], None
    return _library


def check(status):
    if status != 0:
        message = library().fovea_capi_last_error().decode(errors="replace")
        raise FoveaError(status, message)


def call_text(function, *arguments):
    """The text that a size-then-copy function returns."""
    needed = ctypes.c_size_t()
    check(function(*arguments, None, ctypes.c_size_t(0), ctypes.byref(needed)))
    buffer = ctypes.create_string_buffer(needed.value)
    check(function(*arguments, buffer, needed, ctypes.byref(needed)))
    return buffer.value.decode()


def to_ctensor(array):
    """A view of a torch tensor or a numpy array; None is "no tensor"."""
    if array is None:
        return CTensor()
    if hasattr(array, "data_ptr"):
        if array.device.type != "cpu":
            raise TypeError(f"device: expected a tensor on cpu, got {array.device}")
        dtype, data = str(array.dtype).removeprefix("torch."), array.data_ptr()
        strides = array.stride()
    else:
        dtype, data = array.dtype.name, array.ctypes.data
        strides = [stride // array.itemsize for stride in array.strides]
    rank = len(strides)
    fill = [0] * (MAX_RANK - rank)
    sizes = (ctypes.c_int64 * MAX_RANK)(*array.shape, *fill)
    return CTensor(
        data, DTYPE_CODES[dtype], rank, sizes, (ctypes.c_int64 * MAX_RANK)(*strides, *fill)
    )


class Handle:
    """Owns an opaque handle of the library."""

    kind = ""

    def __init__(self, keep=()):
        self.pointer = ctypes.c_void_p()
        self.keep = keep

    def __del__(self):
        if getattr(self, "pointer", None) and _library is not None:
            getattr(_library, f"fovea_capi_{self.kind}_free")(self.pointer)
            self.pointer = ctypes.c_void_p()


class Program(Handle):
    """A mod from its text form; `captures` are bound to t0, t1, ..."""

    kind = "program"

    def __init__(self, text, captures=()):
        super().__init__(tuple(captures))
        tensors = (CTensor * max(1, len(captures)))(*[to_ctensor(c) for c in captures])
        check(
            library().fovea_capi_parse(
                text.encode(), tensors, ctypes.c_int32(len(captures)), ctypes.byref(self.pointer)
            )
        )

    @classmethod
    def trace_example(cls, divisor, table, slopes):
        """The C++ lambda of capi.cpp, traced; a new divisor is a new structure."""
        program = cls.__new__(cls)
        Handle.__init__(program, (table, slopes))
        tensors = [to_ctensor(table), to_ctensor(slopes)]
        check(
            library().fovea_capi_trace_example(
                ctypes.c_int64(divisor),
                *[ctypes.byref(tensor) for tensor in tensors],
                ctypes.byref(program.pointer),
            )
        )
        return program

    def __str__(self):
        return call_text(library().fovea_capi_program_text, self.pointer)


class BlockMask(Handle):
    kind = "block_mask"

    def __init__(self, mask_mod, q_len, kv_len, batch=1, heads=1, block_size=(128, 128)):
        super().__init__((mask_mod,))
        options = CMaskOptions(q_len, kv_len, batch, heads, *block_size)
        check(
            library().fovea_capi_create_block_mask(
                mask_mod.pointer, ctypes.byref(options), ctypes.byref(self.pointer)
            )
        )

    def info(self):
        info = CMaskInfo()
        check(library().fovea_capi_block_mask_describe(self.pointer, ctypes.byref(info)))
        return info

    def kinds(self, b=0, h=0):
        """A (rows, columns) array: 0 skipped, 1 partial, 2 full."""
        info = self.info()
        kinds = numpy.empty((info.rows, info.columns), numpy.uint8)
        check(
            library().fovea_capi_block_mask_kinds(
                self.pointer,
                ctypes.c_int64(b),
                ctypes.c_int64(h),
                ctypes.c_void_p(kinds.ctypes.data),
            )
        )
        return kinds

    @classmethod
    def _made(cls, keep, function, *arguments):
        mask = cls.__new__(cls)
        Handle.__init__(mask, keep)
        check(function(*arguments, ctypes.byref(mask.pointer)))
        return mask

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks,
        kv_indices,
        full_kv_num_blocks=None,
        full_kv_indices=None,
        block_size=(128, 128),
        mask_mod=None,
        seq_lengths=(NONE, NONE),
    ):
        tensors = (kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices)
        blocks = CKvBlocks(*[to_ctensor(tensor) for tensor in tensors], *block_size, *seq_lengths)
        function = library().fovea_capi_block_mask_from_kv_blocks
        return cls._made(
            (mask_mod,), function, ctypes.byref(blocks), mask_mod.pointer if mask_mod else None
        )

    def lists(self):
        """PyTorch's padded index tensors by their names, as numpy arrays."""
        info = self.info()
        planes = (info.batch, info.heads)
        by_row, by_column = (info.rows, info.columns), (info.columns, info.rows)
        arrays = {}
        for name in LIST_NAMES:
            sizes = by_column if "q_" in name else by_row
            shape = planes + (sizes if name.endswith("indices") else sizes[:1])
            arrays[name] = numpy.empty(shape, numpy.int32)
        lists = CPaddedLists(*[array.ctypes.data for array in arrays.values()])
        check(library().fovea_capi_block_mask_lists(self.pointer, ctypes.byref(lists)))
        return arrays

    def __getitem__(self, index):
        """By batch, head and row: ints, slices and lists, as torch's BlockMask takes them."""
        index = index if isinstance(index, tuple) else (index,)
        axes, keep = (CBlockIndex * 3)(), []
        for i, axis in enumerate((*index, slice(None), slice(None), slice(None))[:3]):
            if isinstance(axis, slice):
                begin, end = (NONE if x is None else x for x in (axis.start, axis.stop))
                axes[i] = CBlockIndex(None, 0, begin, end, axis.step or 1)
            else:
                numbers = numpy.atleast_1d(numpy.asarray(axis, numpy.int64))
                keep.append((ctypes.c_int64 * max(1, numbers.size))(*numbers))
                axes[i] = CBlockIndex(keep[-1], numbers.size)
        function = library().fovea_capi_block_mask_index
        return self._made(self.keep, function, self.pointer, axes)

    def _combined(self, operation, other=None):
        function = library().fovea_capi_block_mask_combine
        keep = self.keep + (other.keep if other else ())
        return self._made(
            keep,
            function,
            ctypes.c_int32(operation),
            self.pointer,
            other.pointer if other else None,
        )

    def __and__(self, other):
        return self._combined(0, other)

    def __or__(self, other):
        return self._combined(1, other)

    def __invert__(self):
        return self._combined(2)

    def _changed(self, operation, x=0, y=0):
        function = library().fovea_capi_block_mask_change
        numbers = ctypes.c_int64(x), ctypes.c_int64(y)
        return self._made(self.keep, function, ctypes.c_int32(operation), self.pointer, *numbers)

    def adjusted(self, q_len, kv_len):
        return self._changed(0, q_len, kv_len)

    def decode_slice(self, position, count=1):
        return self._changed(1, position, count)

    def expanded(self, batch, heads):
        return self._changed(2, batch, heads)

    def transposed(self):
        return self._changed(3)

    def without_full_blocks(self):
        return self._changed(4)

    def __str__(self):
        return call_text(library().fovea_capi_block_mask_text, self.pointer)


class Executor(Handle):
    kind = "executor"

    def __init__(self, threads):
        super().__init__()
        self.threads = threads
        check(
            library().fovea_capi_executor_create(
                ctypes.c_int32(threads), ctypes.byref(self.pointer)
            )
        )


def aligned_bytes(count, alignment=64):
    """An uninitialised byte array whose first element is aligned."""
    raw = numpy.empty(count + alignment, numpy.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + count]


class Call:
    """One flex_attention call with all its buffers, ready to be run again and again."""

    def __init__(
        self,
        query,
        key,
        value,
        out,
        *,
        score_mod=None,
        block_mask=None,
        scale=math.nan,
        lse=None,
        executor=None,
        backend=None,
        workspace=True,
    ):
        self.keep = [query, key, value, out, lse, score_mod, block_mask, executor]
        self.out, self.value_dim = out, value.shape[-1]
        self.c = CCall(
            query=to_ctensor(query),
            key=to_ctensor(key),
            value=to_ctensor(value),
            out=to_ctensor(out),
            lse=to_ctensor(lse),
            score_mod=score_mod.pointer if score_mod else None,
            block_mask=block_mask.pointer if block_mask else None,
            executor=executor.pointer if executor else None,
            scale=scale,
            backend=backend.encode() if backend else None,
        )
        self.reference_to_c = ctypes.byref(self.c)
        if workspace:
            self.allocate_workspace()

    def allocate_workspace(self):
        self.workspace = aligned_bytes(self.workspace_bytes())
        self.c.workspace = self.workspace.ctypes.data
        self.c.workspace_bytes = self.workspace.size

    def run(self):
        check(library().fovea_capi_flex_attention(self.reference_to_c))

    def run_chunked(self, query_chunk, key_chunk):
        """As chunked_attention."""
        chunks = ctypes.c_int64(query_chunk), ctypes.c_int64(key_chunk)
        check(library().fovea_capi_chunked_attention(self.reference_to_c, *chunks))

    def repeat(self, count):
        """Nanoseconds a call, over `count` calls made from C."""
        nanoseconds = ctypes.c_double()
        check(
            library().fovea_capi_repeat(
                self.reference_to_c, ctypes.c_int64(count), ctypes.byref(nanoseconds)
            )
        )
        return nanoseconds.value

    def prepare(self):
        check(library().fovea_capi_prepare(self.reference_to_c))

    def workspace_bytes(self):
        size = ctypes.c_size_t()
        check(library().fovea_capi_workspace_bytes(self.reference_to_c, ctypes.byref(size)))
        return size.value

    def explain(self):
        return call_text(library().fovea_capi_explain, self.reference_to_c)

    def reference(self):
        """Fills `out` by the dense float64 reference."""
        check(library().fovea_capi_reference(self.reference_to_c))

    def reference_row(self, b, h, q):
        """(row, lse) of the float64 reference."""
        row, lse = numpy.empty(self.value_dim), ctypes.c_double()
        check(
            library().fovea_capi_reference_row(
                self.reference_to_c,
                *[ctypes.c_int64(index) for index in (b, h, q)],
                ctypes.c_void_p(row.ctypes.data),
                ctypes.byref(lse),
            )
        )
        return row, lse.value


def create_mask(mod, q_len, kv_len, batch=1, heads=1):
    """Every position by itself: a bool array (batch, heads, q_len, kv_len)."""
    allowed = numpy.empty((batch, heads, q_len, kv_len), numpy.bool_)
    options = CMaskOptions(q_len, kv_len, batch, heads, 1, 1)
    check(
        library().fovea_capi_create_mask(
            mod.pointer, ctypes.byref(options), ctypes.c_void_p(allowed.ctypes.data)
        )
    )
    return allowed


def measure_fma_peak(threads):
    """FLOP/s of a plain multiply-add loop on `threads` threads."""
    flops = ctypes.c_double()
    check(library().fovea_capi_measure_fma_peak(ctypes.c_int32(threads), ctypes.byref(flops)))
    return flops.value


def default_threads():
    threads = ctypes.c_int32()
    check(library().fovea_capi_default_threads(ctypes.byref(threads)))
    return threads.value


def backends():
    return call_text(library().fovea_capi_backends)
