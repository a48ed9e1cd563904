# SPDX-License-Identifier: Apache-2.0
"""T5 and UMT5 models of Hugging Face's transformers (5 and later) on fovea, in place:

from fovea.integrations import t5

t5.patch(model)
"""

import torch
from fovea.integrations.transformers import NAME, RelativeBias, register

_KEPT = "_fovea_unpatched"


def patch(model):
    """Makes every attention of a T5 or UMT5 model (encoder, decoder or both) run on fovea, forward
    and backward: self-attention with the relative position bias as a program over a table of one
    entry a distance, cross-attention without any, padding and causal masks as block masks, dropout
    in the kernel, caches as they are. Weights, names and checkpoints stay the same. Patching again
    changes nothing. Returns the model. TypeError for another model.
    Raffel et al., "Exploring the Limits of Transfer Learning", 2020, section 2.1 (the bias)."""
    modules = _attentions(model)
    if not modules:
        raise TypeError(
            f"patch: expected a T5 or UMT5 model of transformers, got {type(model).__name__}"
        )
    if hasattr(model, _KEPT):
        return model
    register()
    setattr(model, _KEPT, model.config._attn_implementation)
    model.set_attn_implementation(NAME)
    for module in modules:
        setattr(module, _KEPT, module.has_relative_attention_bias)
        # Asked for by every module that thinks it has one: no bias of L x S, be it zeros, is made.
        module.compute_bias = _bias_of(module) if module.has_relative_attention_bias else _no_bias
        module.has_relative_attention_bias = True
    return model


def unpatch(model):
    """Undoes patch. Returns the model. ValueError if it is not patched."""
    if not hasattr(model, _KEPT):
        raise ValueError("unpatch: expected a model that patch was called on")
    model.set_attn_implementation(getattr(model, _KEPT))
    delattr(model, _KEPT)
    for module in _attentions(model):
        module.has_relative_attention_bias = getattr(module, _KEPT)
        delattr(module, _KEPT)
        del module.compute_bias
    return model


def _attentions(model):
    from transformers.models.t5.modeling_t5 import T5Attention
    from transformers.models.umt5.modeling_umt5 import UMT5Attention

    if not isinstance(model, torch.nn.Module):
        return []
    return [m for m in model.modules() if isinstance(m, (T5Attention, UMT5Attention))]


def _bias_of(module):
    def compute_bias(query_length, key_length, device=None, past_seen_tokens=0):
        weight = module.relative_attention_bias.weight
        distance = torch.arange(query_length + key_length - 1, device=weight.device)
        distance = distance - (query_length - 1) - past_seen_tokens  # key - query
        table = torch.nn.functional.embedding(_buckets(module, distance), weight)
        return RelativeBias(table.T, query_length - 1)

    return compute_bias


def _buckets(module, distance):
    """By the model's own function: its two families differ in how they are told the sizes."""
    from transformers.models.t5.modeling_t5 import T5Attention

    if not isinstance(module, T5Attention):
        return module._relative_position_bucket(distance)
    return module._relative_position_bucket(
        distance,
        bidirectional=not module.is_decoder,
        num_buckets=module.relative_attention_num_buckets,
        max_distance=module.relative_attention_max_distance,
    )


def _no_bias(query_length, key_length, device=None, past_seen_tokens=0):
    return None
