# SPDX-License-Identifier: Apache-2.0
"""scaled_dot_product_attention with explicit control of who computes it."""

import contextlib
import enum
import warnings

import torch.nn.functional as functional
from torch.nn.attention import SDPBackend
from torch.nn.attention import sdpa_kernel as torch_kernel

import torch
from fovea import nested
from fovea._library import ops
from fovea._trace import NO_MOD, WEIGHT, trace_mod
from fovea.flex import CAUSAL, _with_dropout


class Backend(enum.Enum):
    """Who computes scaled_dot_product_attention."""

    FUSED_CPU = "fovea's kernels on the CPU"
    FUSED_CUDA = "fovea's kernels on NVIDIA GPUs"
    MATH = "plain torch operations, with the scores in memory"
    TORCH_FLASH = "torch's flash attention"
    TORCH_EFFICIENT = "torch's memory-efficient attention"
    TORCH_CUDNN = "torch through cuDNN"
    TORCH_MATH = "torch's own plain form"


DEFAULT_ORDER = (Backend.FUSED_CPU, Backend.FUSED_CUDA, Backend.MATH)
_OF_TORCH = {
    Backend.TORCH_FLASH: SDPBackend.FLASH_ATTENTION,
    Backend.TORCH_EFFICIENT: SDPBackend.EFFICIENT_ATTENTION,
    Backend.TORCH_CUDNN: SDPBackend.CUDNN_ATTENTION,
    Backend.TORCH_MATH: SDPBackend.MATH,
}


class _Current:
    """The order in force: one a process, as torch's own, and plain enough for torch.compile."""

    order = DEFAULT_ORDER


@contextlib.contextmanager
def sdpa_kernel(backends):
    """Within it, only these backends are taken (one or a list, the first that can). ValueError for
    an empty list, TypeError for what is no Backend."""
    backends = (backends,) if isinstance(backends, Backend) else tuple(backends)
    if not backends:
        raise ValueError("sdpa_kernel: expected at least one backend, got none")
    for backend in backends:
        if not isinstance(backend, Backend):
            raise TypeError(f"sdpa_kernel: expected a fovea.Backend, got {backend!r}")
    before, _Current.order = _Current.order, backends
    try:
        yield backends
    finally:
        _Current.order = before


class CausalBias:
    """A causal mask that is never stored: causal_upper_left(L, S) or causal_lower_right(L, S)."""

    def __init__(self, variant, q_len, kv_len):
        self.variant, self.shape = variant, (q_len, kv_len)

    def materialize(self, device=None):
        """(L, S) bool: where a query may look."""
        q_len, kv_len = self.shape
        offset = kv_len - q_len if self.variant == "lower_right" else 0
        return torch.ones(q_len, kv_len, dtype=torch.bool, device=device).tril(offset)

    def __repr__(self):
        return f"causal_{self.variant}{self.shape}"


def causal_upper_left(q_len, kv_len):
    """Query i sees keys 0 to i."""
    return CausalBias("upper_left", q_len, kv_len)


def causal_lower_right(q_len, kv_len):
    """The last query sees all keys, the one before all but the last, and so on."""
    return CausalBias("lower_right", q_len, kv_len)


class _Call:
    """The arguments, normalised to four dimensions."""

    def __init__(self, query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa):
        self.nested = nested.is_jagged(query) or nested.is_jagged(key) or nested.is_jagged(value)
        self.query, self.key, self.value = query, key, value
        self.mask, self.dropout_p, self.scale = attn_mask, float(dropout_p), scale
        self.enable_gqa = enable_gqa
        self.causal = "upper_left" if is_causal else None
        if attn_mask is not None and not isinstance(attn_mask, CausalBias):
            self.mask = _ours(attn_mask, query, key)
        self._check(is_causal)
        if isinstance(self.mask, CausalBias):
            self.causal, self.mask = self.mask.variant, None

    def _check(self, is_causal):
        q, k, v = self.query, self.key, self.value
        for name, x in (("query", q), ("key", k), ("value", v)):
            if x.dim() < 2:
                raise ValueError(f"{name}: expected at least 2 dimensions, got {x.dim()}")
        if q.dtype != k.dtype or k.dtype != v.dtype:
            raise RuntimeError(
                "Expected query, key, and value to have the same dtype, but got query.dtype: "
                f"{q.dtype} key.dtype: {k.dtype} and value.dtype: {v.dtype} instead."
            )
        if q.device != k.device or k.device != v.device:
            raise RuntimeError(
                "Expected query, key, and value to have the same device type, but got "
                "query.device: "
                f"{q.device} key.device: {k.device} and value.device: {v.device} instead."
            )
        if is_causal and self.mask is not None:
            raise RuntimeError(
                "Explicit attn_mask should not be set when is_causal=True: expected one of the two"
            )
        if not 0 <= self.dropout_p <= 1:
            raise ValueError(f"dropout_p: expected a probability from 0 to 1, got {self.dropout_p}")
        if self.nested:
            if self.mask is not None and not isinstance(self.mask, CausalBias):
                raise RuntimeError("attn_mask: expected none with nested tensors, got one")
            return
        if q.size(-1) != k.size(-1):
            raise ValueError(
                f"query and key: expected one head_dim, got {q.size(-1)} and {k.size(-1)}"
            )
        if k.size(-2) != v.size(-2):
            raise ValueError(
                f"key and value: expected one length, got {k.size(-2)} and {v.size(-2)}"
            )
        if isinstance(self.mask, torch.Tensor):
            self._check_mask()

    def _check_mask(self):
        mask = self.mask
        if mask.dtype != torch.bool and not mask.is_floating_point():
            raise RuntimeError(f"attn_mask dtype: expected bool or floating, got {mask.dtype}")
        shape = (*self.query.shape[:-1], self.key.size(-2))
        try:
            fits = torch.broadcast_shapes(mask.shape, shape) == torch.Size(shape)
        except RuntimeError:
            fits = False
        if not fits:
            raise RuntimeError(
                f"attn_mask: expected a shape that broadcasts to {list(shape)}, got "
                f"{list(mask.shape)}"
            )


def _ours(mask, query, key):
    """A mask as it is, or our CausalBias of torch's (a tensor in name only)."""
    variant = getattr(mask, "variant", None)
    if variant is not None:
        upper_left = getattr(variant, "name", "") == "UPPER_LEFT"
        return CausalBias(
            "upper_left" if upper_left else "lower_right", query.size(-2), key.size(-2)
        )
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"attn_mask: expected a tensor or a causal bias, got {type(mask).__name__}")
    return mask


def _fused_reasons(call):
    q, k = call.query, call.key
    if call.nested:
        heads, kv_heads = q.size(1), k.size(1)
    else:
        if q.dim() != k.dim() or k.dim() != call.value.dim():
            return ["query, key and value have different numbers of dimensions"]
        if q.dim() > 4 and q.shape[:-3] != k.shape[:-3]:
            return ["batch dimensions of query and key differ"]
        heads = q.size(-3) if q.dim() > 2 else 1
        kv_heads = k.size(-3) if k.dim() > 2 else 1
    reasons = []
    if heads != kv_heads and not call.enable_gqa and q.dim() >= 4:
        reasons.append(f"{heads} query heads and {kv_heads} key heads without enable_gqa")
    elif kv_heads == 0 or heads % kv_heads != 0:
        reasons.append(f"{heads} query heads are no multiple of {kv_heads} key heads")
    if q.dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        reasons.append(f"dtype {q.dtype} is not float64, float32, bfloat16 or float16")
    return reasons


def can_use(
    backend,
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    *,
    scale=None,
    enable_gqa=False,
):
    """Why a backend cannot compute this call, a sentence each; an empty list if it can."""
    call = _Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    return _reasons(backend, call)


def _reasons(backend, call):
    device = call.query.device.type
    if backend in (Backend.FUSED_CPU, Backend.FUSED_CUDA):
        wanted = "cpu" if backend is Backend.FUSED_CPU else "cuda"
        if device != wanted:
            return [f"the tensors are on {device}, not on {wanted}"]
        return _fused_reasons(call)
    if backend is Backend.MATH:
        return ["nested tensors have no dense scores"] if call.nested else []
    if call.nested:
        return ["nested tensors go to fovea's kernels only"]
    if backend in (Backend.TORCH_CUDNN, Backend.TORCH_EFFICIENT) and device != "cuda":
        return [f"torch has it on cuda only, and the tensors are on {device}"]
    if backend is Backend.TORCH_FLASH and device == "cpu" and call.dropout_p > 0:
        return ["torch's flash attention on the CPU has no dropout"]
    return []


def explain(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    *,
    scale=None,
    enable_gqa=False,
):
    """For each backend: whether it would be asked in the current context, and what it says."""
    call = _Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    order, taken, lines = _Current.order, False, []
    for backend in Backend:
        reasons = _reasons(backend, call)
        state = "; ".join(reasons) if reasons else "can"
        if backend in order and not reasons and not taken and backend is _first(order, call):
            state, taken = "taken", True
        elif backend not in order:
            state += " (not in the current order)"
        lines.append(f"{backend.name}: {state}")
    return "\n".join(lines)


def _first(order, call):
    for backend in order:
        if not _reasons(backend, call):
            return backend
    return None


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(query key^T * scale + mask) value, as torch.nn.functional's function of this name.

    query (N, ..., Hq, L, E), key (N, ..., H, S, E), value (N, ..., H, S, Ev), or jagged
    NestedTensors (B, H, L*, E). attn_mask: bool (True: may look) or floating (added), anything
    that broadcasts to (N, ..., Hq, L, S), or causal_upper_left / causal_lower_right. A query that
    may look nowhere gives 0. scale: default 1/sqrt(E). dropout_p: of the weights.

    RuntimeError if no backend of the current sdpa_kernel context can, with every reason; the
    refusals of those before the one that runs are warnings.
    """
    call = _Call(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    order, refused = _Current.order, []
    for backend in order:
        reasons = _reasons(backend, call)
        if not reasons:
            return _RUN[backend](call, backend)
        refused += [f"{backend.name}: {reason}" for reason in reasons]
        if order is not DEFAULT_ORDER and not torch.compiler.is_compiling():
            for reason in reasons:
                warnings.warn(f"{backend.name} refused: {reason}", UserWarning, stacklevel=2)
    raise RuntimeError("No available kernel: " + "; ".join(refused))


def _four(x):
    """(batch, heads, length, dim) of anything with at least two dimensions."""
    if x.dim() == 4:
        return x
    if x.dim() < 4:
        return x.reshape(*(1,) * (4 - x.dim()), *x.shape)
    return x.reshape(-1, *x.shape[-3:])


_MASK_TEXT = {
    torch.bool: "where({read}, score, -inf)",
    None: "score + {read}",
}


def _mask_mod(call, query):
    """The mask as a score_mod: read where it is, with its own broadcasting."""
    mask = call.mask
    if mask is None:
        return NO_MOD.arguments()
    if query.dim() > 4:
        mask = mask.expand(*query.shape[:-3], *mask.shape[-3:]) if mask.dim() > 4 else mask
    if mask.dim() > 4:
        mask = mask.reshape(-1, *mask.shape[-3:])
    mask = mask.reshape(*(1,) * (4 - mask.dim()), *mask.shape) if mask.dim() < 4 else mask
    names_of = zip(mask.shape, ("b", "h", "q", "kv"), strict=True)
    index = ", ".join("0" if n == 1 else i for n, i in names_of)
    form = _MASK_TEXT[torch.bool if mask.dtype == torch.bool else None]
    names = {
        torch.bool: "bool",
        torch.float32: "f32",
        torch.float64: "f64",
        torch.bfloat16: "bf16",
        torch.float16: "f16",
    }
    text = (
        f"score_mod(score, b, h, q, kv; t0: {names[mask.dtype]}[4]) {{\n"
        f"  return {form.format(read=f't0[{index}]')}\n}}"
    )
    return text, [mask], [], []


def _fused(call, backend):
    query, key, value = call.query, call.key, call.value
    offsets = (None, None)
    if call.nested:
        nested.check_together(query, key, value)
        (q, q_offsets), (k, kv_offsets) = nested.unwrap(query, "query"), nested.unwrap(key, "key")
        v, _ = nested.unwrap(value, "value")
        offsets = (q_offsets, kv_offsets)
        score = NO_MOD.arguments()
    else:
        q, k, v = _four(query), _four(key), _four(value)
        score = _mask_mod(call, query)
    weight = trace_mod(_with_dropout(None, call.dropout_p), WEIGHT, query.device)
    out, _, _ = ops.flex_attention(
        q,
        k,
        v,
        *score,
        *weight.arguments(),
        None,
        None,
        *offsets,
        None,
        None,
        CAUSAL[call.causal],
        call.scale,
        False,
    )
    if call.nested:
        return nested.wrap(out, query)
    return out.reshape(*query.shape[:-1], value.size(-1))


def _dense_mask(call):
    if call.causal is None:
        return call.mask
    q_len, kv_len = call.query.size(-2), call.key.size(-2)
    return CausalBias(call.causal, q_len, kv_len).materialize(call.query.device)


def _math(call, backend):
    query, key, value = call.query, call.key, call.value
    if call.enable_gqa:
        group = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(group, -3), value.repeat_interleave(group, -3)
    scale = query.size(-1) ** -0.5 if call.scale is None else call.scale
    scores = (query.float() if query.dtype in (torch.bfloat16, torch.float16) else query) * scale
    scores = scores @ key.to(scores.dtype).transpose(-2, -1)
    mask = _dense_mask(call)
    if mask is not None:
        hidden = (
            scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        )
        scores = hidden
    weights = torch.softmax(scores, -1)
    if mask is not None:
        weights = weights.masked_fill((scores == float("-inf")).all(-1, keepdim=True), 0.0)
    weights = functional.dropout(weights, call.dropout_p) if call.dropout_p > 0 else weights
    return (weights @ value.to(weights.dtype)).to(query.dtype)


def _of_torch(call, backend):
    with torch_kernel([_OF_TORCH[backend]]):
        return functional.scaled_dot_product_attention(
            call.query,
            call.key,
            call.value,
            attn_mask=None if call.causal == "upper_left" else _dense_mask(call),
            dropout_p=call.dropout_p,
            is_causal=call.causal == "upper_left",
            scale=call.scale,
            enable_gqa=call.enable_gqa,
        )


_RUN = {
    Backend.FUSED_CPU: _fused,
    Backend.FUSED_CUDA: _fused,
    Backend.MATH: _math,
    **dict.fromkeys(_OF_TORCH, _of_torch),
}
