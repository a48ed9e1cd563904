# SPDX-License-Identifier: Apache-2.0
"""scaled_dot_product_attention as in PyTorch's tutorial: backends, module, biases, jagged."""

import fovea_package
import harness
import peers

NAME = "sdpa"
BATCH, HEADS, LENGTH, HEAD_DIM = 32, 32, 1024, 32  # the tutorial's
QUICK_BATCH = 4
TOLERANCE = 1e-4


def functions(context, fovea):
    """The tutorial's first table: one call, by who computes it."""
    torch = context.torch
    batch = QUICK_BATCH if context.quick else BATCH
    inputs = [torch.rand(batch, HEADS, LENGTH, HEAD_DIM) for _ in range(3)]
    call = fovea.scaled_dot_product_attention
    backends = {
        "torch-sdpa": lambda **o: torch.nn.functional.scaled_dot_product_attention(*inputs, **o),
        "torch-math": lambda **o: within(fovea, fovea.Backend.TORCH_MATH, inputs, **o),
        "fovea-math": lambda **o: within(fovea, fovea.Backend.MATH, inputs, **o),
    }
    for name, options in (("dense", {}), ("causal", {"is_causal": True})):
        case = f"forward {name} fp32 B{batch}H{HEADS}L{LENGTH}D{HEAD_DIM}"
        timed = {"ours": lambda o=options: call(*inputs, **o)}
        timed |= {peer: (lambda f=f, o=options: f(**o)) for peer, f in backends.items()}
        compare(context, case, timed)


def within(fovea, backend, inputs, **options):
    with fovea.sdpa_kernel(backend):
        return fovea.scaled_dot_product_attention(*inputs, **options)


def module(context, fovea):
    """CausalSelfAttention, ours and the same module on torch's function, with its weights."""
    torch = context.torch
    batch, length = (4, 256) if context.quick else (16, 512)
    ours = fovea.CausalSelfAttention(16, 16 * 64, is_causal=True).eval()

    def theirs(x):
        parts = ours.c_attn(x).chunk(3, -1)
        query, key, value = (p.unflatten(-1, (16, -1)).transpose(1, 2) for p in parts)
        function = torch.nn.functional.scaled_dot_product_attention
        return ours.c_proj(function(query, key, value, is_causal=True).transpose(1, 2).flatten(-2))

    x = torch.rand(batch, length, 16 * 64)
    shape = f"B{batch}H16L{length}D64"
    compare(context, f"module attention forward fp32 {shape}", calls(ours, theirs, x))
    compiled = [torch.compile(f, fullgraph=True) for f in (ours, theirs)]
    compare(context, f"module attention compiled forward fp32 {shape}", calls(*compiled, x))
    x = x.requires_grad_()
    parameters = [x, *ours.parameters()]

    dout = torch.ones(batch, length, 16 * 64)

    def backward(f):
        run = peers.backward_of(torch, lambda: f(x), parameters, dout)
        return lambda: run()[0]

    timed = {"ours": backward(ours), "torch-sdpa": backward(theirs)}
    compare(context, f"module attention backward fp32 {shape}", timed)


def calls(ours, theirs, x):
    return {"ours": lambda: ours(x), "torch-sdpa": lambda: theirs(x)}


def biases(context, fovea):
    """Causal from the lower right, which a plain is_causal does not mean for other lengths."""
    torch = context.torch
    from torch.nn.attention import bias as torch_bias

    for q_len, kv_len in ((64, 1024), (1, 4096)):
        shapes = ((8, 16, q_len, 64), (8, 16, kv_len, 64), (8, 16, kv_len, 64))
        inputs = [torch.rand(s) for s in shapes]
        ours, theirs = (make.causal_lower_right(q_len, kv_len) for make in (fovea, torch_bias))
        timed = {
            "ours": lambda i=inputs, b=ours: fovea.scaled_dot_product_attention(*i, attn_mask=b),
            "torch-sdpa": lambda i=inputs, b=theirs: (
                torch.nn.functional.scaled_dot_product_attention(*i, attn_mask=b)
            ),
        }
        compare(context, f"forward lower_right fp32 B8H16L{q_len}S{kv_len}D64", timed)


def jagged(context, fovea):
    """Sentences of many lengths: nested, beside the same padded with a mask."""
    torch = context.torch
    lengths = torch.randint(20, 500, (16,), generator=torch.Generator().manual_seed(2)).tolist()
    rows = [[torch.rand(n, 8, 64) for n in lengths] for _ in range(3)]
    nested = [torch.nested.nested_tensor(x, layout=torch.jagged).transpose(1, 2) for x in rows]
    padded = [torch.nn.utils.rnn.pad_sequence(x, batch_first=True).transpose(1, 2) for x in rows]
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths).view(-1, 1)).view(16, 1, 1, longest)
    timed = {
        "ours": lambda: fovea.scaled_dot_product_attention(*nested),
        "torch-padded": lambda: torch.nn.functional.scaled_dot_product_attention(
            *padded, attn_mask=mask
        ),
        "torch-nested": lambda: torch.nn.functional.scaled_dot_product_attention(*nested),
    }
    shape = f"B16H8L{longest}D64"
    name = f"forward jagged fp32 {shape}"
    if context.wants(name):
        whole = timed["torch-padded"]()
        for b, (own, n) in enumerate(zip(timed["ours"]().unbind(), lengths, strict=True)):
            error = (own - whole[b, :, :n]).abs().max().item()
            if not error <= TOLERANCE:
                context.fail(f"{name}: differs from torch-padded by {error:.1e}")
    try:
        timed["torch-nested"]()
    except (RuntimeError, NotImplementedError) as refusal:
        context.note(f"{name}: torch-nested left out: {str(refusal).splitlines()[0]}")
        del timed["torch-nested"]
    compare(context, name, timed, check=False)


def compare(context, case, timed, check=True):
    if not context.wants(case):
        return
    if check:
        expected = timed["ours"]().detach()
        for peer, run in timed.items():
            error = (run().detach() - expected).abs().max().item()
            if not error <= TOLERANCE * max(1.0, expected.abs().max().item()):
                context.fail(f"{case}: differs from {peer} by {error:.1e}")
    samples = harness.interleave(timed, context.repeats(7, 3))
    for peer in [name for name in timed if name != "ours"]:
        context.add_against(NAME, case, peer, samples)


def line(row):
    return [
        row.case,
        harness.number(1e3 * row.ours_ms, 1),
        row.peer,
        harness.number(1e3 * row.peer_ms, 1),
        harness.number(row.ratio, 2),
    ]


def run(context):
    fovea = fovea_package.load(context, NAME)
    if fovea is None:
        return
    for part in (functions, module, biases, jagged):
        part(context, fovea)
    rows = [row for row in context.rows if row.bench == NAME]
    harness.print_table(
        f"{NAME}: {context.threads} threads; microseconds",
        ["case", "ours us", "peer", "peer us", "ratio"],
        map(line, rows),
    )
