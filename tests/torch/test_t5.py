# SPDX-License-Identifier: Apache-2.0
"""Patched T5 and UMT5 models against themselves unpatched: outputs, gradients, generation."""

import copy

import pytest
from fovea.integrations import t5

import torch

transformers = pytest.importorskip("transformers")
SMALL = {
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.0,
}
FAMILIES = {
    "v1.0": (transformers.T5Config, {"feed_forward_proj": "relu"}),
    "v1.1": (transformers.T5Config, {"feed_forward_proj": "gated-gelu"}),
    "umt5": (transformers.UMT5Config, {"feed_forward_proj": "gated-gelu"}),
}
KINDS = {
    ("t5", "encoder"): transformers.T5EncoderModel,
    ("t5", "both"): transformers.T5ForConditionalGeneration,
    ("umt5", "encoder"): transformers.UMT5EncoderModel,
    ("umt5", "both"): transformers.UMT5ForConditionalGeneration,
}


def make(family, kind, **options):
    config, extra = FAMILIES[family]
    config = config(**(SMALL | extra | options), attn_implementation="eager")
    model = KINDS["umt5" if family == "umt5" else "t5", kind](config).eval()
    with torch.no_grad():  # a bias that matters
        for name, parameter in model.named_parameters():
            if "relative_attention_bias" in name:
                parameter.normal_()
    return model


def inputs(kind, padded, batch=3, length=45):
    ids = torch.randint(1, 99, (batch, length))
    found = {"input_ids": ids}
    if padded:
        mask = torch.ones(batch, length, dtype=torch.long)
        mask[0, 30:], mask[1, 7:] = 0, 0
        found["attention_mask"] = mask
    if kind == "both":
        found["labels"] = torch.randint(1, 99, (batch, 13))
    return found


def result_of(model, kind, given):
    """(tensor to compare, loss)."""
    out = model(**given)
    if kind == "both":
        return out.logits, out.loss
    seen = given.get("attention_mask", torch.ones_like(given["input_ids"])).unsqueeze(-1)
    hidden = out.last_hidden_state * seen  # what stands for padding is nobody's
    # Not its square: the norm in front of it holds that fixed, and the gradient would be nothing.
    return hidden, (hidden * torch.arange(hidden.shape[-1]).sin()).sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["encoder", "both"])
@pytest.mark.parametrize("padded", [False, True])
def test_outputs_and_gradients(family, kind, padded):
    model = make(family, kind)
    given = inputs(kind, padded)
    expected, loss = result_of(model, kind, given)
    names, parameters = zip(*model.named_parameters(), strict=True)
    wanted = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert t5.patch(model) is model
    found, own_loss = result_of(model, kind, given)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    got = torch.autograd.grad(own_loss, parameters, allow_unused=True)
    assert any("relative_attention_bias" in name for name in names)
    for name, a, b in zip(names, got, wanted, strict=True):
        assert (a is None) == (b is None), name
        if b is not None:
            scale = b.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(a / scale, b / scale, atol=2e-4, rtol=0, msg=name)
    t5.unpatch(model)
    assert torch.equal(result_of(model, kind, given)[0], expected)


@pytest.mark.parametrize("family", ["v1.1", "umt5"])
@pytest.mark.parametrize("how", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_generation(family, how):
    model = make(family, "both")
    given = inputs("encoder", True)
    options = {"max_new_tokens": 12, "do_sample": False} | how
    torch.manual_seed(1)
    expected = model.generate(**given, **options)
    torch.manual_seed(1)
    assert torch.equal(t5.patch(model).generate(**given, **options), expected)


def test_training_with_dropout_runs_and_repeats():
    model = t5.patch(make("v1.1", "both", dropout_rate=0.2)).train()
    given = inputs("both", True)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        loss = model(**given).loss
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == losses[1] != losses[2]
    bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    assert torch.isfinite(bias.grad).all() and bias.grad.abs().sum() > 0


def test_a_few_steps_of_training_go_the_same_way():
    ours = make("v1.0", "both")
    theirs = copy.deepcopy(ours)
    t5.patch(ours)
    given = inputs("both", True)
    for model in (ours, theirs):
        optimizer = torch.optim.SGD(model.parameters(), 0.05)
        for _ in range(5):
            optimizer.zero_grad()
            model(**given).loss.backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_checkpoints_are_the_same(tmp_path):
    model = make("umt5", "both")
    names = list(model.state_dict())
    given = inputs("both", False)
    expected = t5.patch(model)(**given).logits
    assert list(model.state_dict()) == names
    model.save_pretrained(tmp_path)
    again = t5.patch(type(model).from_pretrained(tmp_path).eval())
    assert torch.equal(again(**given).logits, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision(dtype):
    model = make("v1.1", "encoder").to(dtype)
    given = inputs("encoder", True)
    expected = result_of(model.float(), "encoder", given)[0]
    found = result_of(t5.patch(model.to(dtype)), "encoder", given)[0]
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, atol=6e-2, rtol=5e-2)


def test_errors():
    with pytest.raises(TypeError, match="expected a T5 or UMT5 model of transformers, got Linear"):
        t5.patch(torch.nn.Linear(2, 2))
    model = make("v1.0", "encoder")
    with pytest.raises(ValueError, match="expected a model that patch was called on"):
        t5.unpatch(model)
    t5.patch(t5.patch(model))
    t5.unpatch(model)
    assert model.config._attn_implementation == "eager"
