# SPDX-License-Identifier: Apache-2.0
"""Every mask and score mod of attention-gym, at sizes that a dense reference bears."""

from attn_gym import masks, mods

import torch

B, H, L = 2, 4, 256
HIDDEN = torch.arange(L)


def _integers(high, *shape):
    return torch.randint(0, high, shape, dtype=torch.int32)


def _causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def offsets():
    return torch.tensor([0, 60, 61, 130, 200, L], dtype=torch.int32)


def tree():
    parents = [-1] + [int(torch.randint(0, i, ())) for i in range(1, 64)]
    return masks.build_tree_ancestor_matrix(parents, device="cpu")


def mask_mods():
    """{name: (mask_mod, q_len, kv_len)}."""
    found = {
        "causal": masks.causal_mask,
        "sliding_window": masks.generate_sliding_window(40),
        "dilated_sliding_window": masks.generate_dilated_sliding_window(60, 3),
        "prefix_lm": masks.generate_prefix_lm_mask(70),
        "global_sliding_window": masks.generate_global_sliding_window(16, torch.rand(L) < 0.05),
        "batchify": masks.batchify_mask_mod(masks.causal_mask, 64),
        "document": masks.generate_doc_mask_mod(masks.causal_mask, offsets()),
        "packed_causal_document": masks.generate_packed_causal_doc_mask_mod(offsets()),
        "block_diffusion": masks.generate_block_diffusion_mask(L // 2, 16),
        "natten": masks.generate_natten(16, 16, 7, 7),
        "tiled_natten": masks.generate_tiled_natten(16, 16, 7, 7, 4, 4),
        "morton_natten": masks.generate_morton_natten(16, 16, 7, 7),
        "sta_2d": masks.generate_sta_mask_mod_2d((16, 16), (12, 12), (4, 4)),
        "sta_3d": masks.generate_sta_mask_mod_3d((4, 8, 8), (2, 4, 4), (2, 4, 4)),
        "spatial_head": masks.generate_spatial_head_mask_mod(16, 4, 60, 2),
        "temporal_head": masks.generate_temporal_head_mask_mod(16, 4, 60, 2),
        "jetspec_training": masks.generate_jetspec_training_mask_mod(128, 16),
        "vsa": masks.generate_vsa_mask_mod(_integers(8, B, H, 8, 3), 32),
        "shared_prefix": masks.generate_shared_prefix_mask_mod(
            offsets(), torch.tensor([0, 0, 0, 3, 3], dtype=torch.int32)
        ),
    }
    found = {name: (mod, L, L) for name, mod in found.items()}
    found["flamingo"] = (
        masks.generate_vision_cross_attention_mask_mod(
            torch.tensor([[0, 60], [60, 200], [10, L]], dtype=torch.int32), 32
        ),
        L,
        96,
    )
    found["jetspec_tree"] = (
        masks.generate_jetspec_tree_causal_mask_mod(100, tree()),
        64,
        164,
    )
    return found


def score_mods():
    """{name: score_mod}."""
    distances = _integers(6, B, L, L)
    return {
        "alibi": mods.generate_alibi_bias(H),
        "softcap": mods.generate_tanh_softcap(20),
        "softcap_approximate": mods.generate_tanh_softcap(20, approx=True),
        "sandwich": mods.generate_sandwich_bias(H, L),
        "mla_rope": mods.generate_mla_rope_score_mod(
            torch.randn(B, H, L, 64), torch.randn(B, 1, L, 64), H, 0.1
        ),
        "graphormer_spatial": mods.generate_graphormer_spatial_bias(torch.randn(H, 6), distances),
        "graphormer_edge": mods.generate_graphormer_edge_bias(
            torch.randn(H, 3, 5), _integers(5, B, L, L, 3), _integers(4, B, L, L)
        ),
        "activation": mods.generate_activation_score_mod(torch.nn.functional.gelu, 1.0),
        "relative": lambda score, b, h, q_idx, kv_idx: score + (q_idx - kv_idx),
        "squared": lambda score, b, h, q_idx, kv_idx: score * score,
        "causal": lambda score, b, h, q_idx, kv_idx: torch.where(
            q_idx >= kv_idx, score, float("-inf")
        ),
        "silu": lambda score, b, h, q_idx, kv_idx: torch.nn.functional.silu(score),
        "checkerboard": lambda score, b, h, q_idx, kv_idx: torch.where(
            (kv_idx - q_idx) % 2 == 0, score * 0.5, score
        ),
    }
