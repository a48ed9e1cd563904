// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <fovea/error.h>
#include "analysis/homogeneous.h"
#include "attention/causal.h"
#include "attention/checker.h"
#include "attention/index_ranges.h"
#include "attention/problem.h"
#include "attention/sequences.h"

namespace fovea::attention {
namespace {

void check_devices(const Checker& check, const Problem& p) {
  const auto same = [&](const char* name, const TensorView& view) {
    check.device(name, view, p.query.device);
  };
  same("key", p.key);
  same("value", p.value);
  same("out", p.out);
  if (p.lse) same("lse", *p.lse);
  if (p.max_scores) same("max_scores", *p.max_scores);
  if (p.sinks) same("sinks", *p.sinks);
}

// f64 is summed in f64, all else in f32: only what is summed alike can be mixed.
void check_dtypes(const Checker& check, const Problem& p) {
  const bool wide = p.query.dtype == DType::f64;
  const auto same = [&](const char* rule, const TensorView& view) {
    if ((view.dtype == DType::f64) == wide) return;
    check.fail(rule, wide ? "f64" : "f32, bf16 or f16", fovea::name_of(view.dtype));
  };
  same("key must be f64 if the query is, and only then", p.key);
  same("value must be f64 if the query is, and only then", p.value);
}

// One entry serves every batch.
void broadcast_batch(TensorView& view, int64_t batch) {
  if (view.size(0) == batch) return;
  view.sizes[0] = batch;
  view.strides[0] = 0;
}

void check_shapes(const Checker& check, Problem& p, bool own_key_batch) {
  p.batch = p.query.size(0);
  p.q_heads = p.query.size(1);
  p.q_len = p.query.size(2);
  p.head_dim = p.query.size(3);
  p.kv_heads = p.key.size(1);
  p.kv_len = p.key.size(2);
  p.value_dim = p.value.size(3);
  const auto positive = [&](const char* rule, int64_t size) {
    if (size < 1) check.fail(rule, "at least 1", size);
  };
  positive("query head_dim must be positive", p.head_dim);
  positive("value head_dim must be positive", p.value_dim);
  if (!own_key_batch && p.key.size(0) != p.batch && p.key.size(0) != 1) {
    check.fail("key batch must be 1 or the query's",
               p.batch == 1 ? "1" : "1 or " + std::to_string(p.batch), p.key.size(0));
  }
  check.equal("value batch must equal key batch", p.key.size(0), p.value.size(0));
  check.equal("key head_dim must equal query head_dim", p.head_dim, p.key.size(3));
  check.equal("value heads must equal key heads", p.kv_heads, p.value.size(1));
  check.equal("value length must equal key length", p.kv_len, p.value.size(2));
  if (p.q_heads > 0 && (p.kv_heads == 0 || p.q_heads % p.kv_heads != 0)) {
    check.fail("query heads must be a multiple of key heads",
               "a multiple of " + std::to_string(p.kv_heads), p.q_heads);
  }
  if (own_key_batch) return;
  broadcast_batch(p.key, p.batch);
  broadcast_batch(p.value, p.batch);
}

void check_outputs(const Checker& check, const Problem& p) {
  const Dims out{p.batch, p.q_heads, p.q_len, p.value_dim};
  if (p.out.sizes != out) {
    check.fail("out must have the shape of the result", to_string(out), to_string(p.out.sizes));
  }
  check.no_overlap("out", p.out);
  const auto of_rows = [&](const char* name, const std::optional<TensorView>& view) {
    if (!view) return;
    const Dims rows{p.batch, p.q_heads, p.q_len};
    if (view->sizes != rows) {
      check.fail(std::string(name) + " must have the shape (batch, query heads, query length)",
                 to_string(rows), to_string(view->sizes));
    }
    check.wide(name, *view);
    check.memory(name, *view);
    check.no_overlap(name, *view);
  };
  of_rows("lse", p.lse);
  of_rows("max_scores", p.max_scores);
}

void check_sinks(const Checker& check, const Problem& p) {
  if (!p.sinks) return;
  const Dims heads{p.q_heads};
  if (p.sinks->sizes != heads) {
    check.fail("sinks must have the shape (query heads)", to_string(heads),
               to_string(p.sinks->sizes));
  }
  check.floating("sinks", *p.sinks);
  check.memory("sinks", *p.sinks);
}

void check_block_mask(const Checker& check, const Problem& p) {
  const BlockMask& mask = p.block_mask;
  if (!mask.mask_mod()) {
    check.fail("block_mask must have a mask_mod", "one set by with_mask_mod after index",
               "a mask that index left without");
  }
  const auto area = [](int64_t q, int64_t kv) {
    return std::to_string(q) + " x " + std::to_string(kv);
  };
  if (p.sequences.empty()) {
    if (mask.q_len() != p.q_len || mask.kv_len() != p.kv_len) {
      check.fail("block_mask must be made for these lengths (create_block_mask with q_len, kv_len)",
                 area(p.q_len, p.kv_len), area(mask.q_len(), mask.kv_len()));
    }
  } else {
    if (!p.jagged) {
      check.equal("block_mask must be made for the query's length", p.q_len, mask.q_len());
    }
    if (mask.q_len() < p.q_len || mask.kv_len() < p.kv_len) {
      check.fail("block_mask must be made for the longest sequences",
                 "at least " + area(p.q_len, p.kv_len), area(mask.q_len(), mask.kv_len()));
    }
  }
  const auto one_or = [&](const char* rule, int64_t size, int64_t got) {
    if (got == 1 || got == size) return;
    check.fail(rule, size == 1 ? "1" : "1 or " + std::to_string(size), got);
  };
  one_or("block_mask batch must be 1 or the query's", p.batch, mask.batch());
  one_or("block_mask heads must be 1 or the query's", p.q_heads, mask.heads());
}

void check_programs(const Checker& check, const Problem& p) {
  if (p.score_mod && p.score_mod.kind() != ModKind::score) {
    check.fail("score_mod must be a score program", "(score, b, h, q, kv) -> score",
               std::string("a ") + name_of(p.score_mod.kind()));
  }
  if (p.weight_mod && p.weight_mod.kind() != ModKind::weight) {
    check.fail("weight_mod must be a weight program", "(w, b, h, q, kv) -> weight",
               std::string("a ") + name_of(p.weight_mod.kind()));
  }
  const auto captures = [&](const char* mod, const Program& program) {
    const auto views = program.captures();
    for (std::size_t slot = 0; slot < views.size(); ++slot) {
      const auto name = [&] { return "capture t" + std::to_string(slot) + " of " + mod; };
      check.device(name, views[slot], p.query.device);
      check.memory(name, views[slot]);
    }
  };
  captures("score_mod", p.score_mod);
  captures("weight_mod", p.weight_mod);
  captures("mask_mod", p.mask_mod);
}

}  // namespace

Problem validate(const char* where, const TensorView& query, const TensorView& key,
                 const TensorView& value, const TensorView& out, const FlexOptions& options) {
  const Checker check(where);
  check.tensor("query", query);
  check.tensor("key", key);
  check.tensor("value", value);
  check.tensor("out", out);
  Problem p;
  p.where = where;
  p.query = query;
  p.key = key;
  p.value = value;
  p.out = out;
  p.lse = options.lse;
  p.max_scores = options.max_scores;
  p.sinks = options.sinks;
  p.score_mod = options.score_mod;
  p.weight_mod = options.weight_mod;
  p.block_mask = options.block_mask;
  if (p.block_mask) p.mask_mod = p.block_mask.mask_mod();
  check_devices(check, p);
  check_dtypes(check, p);
  check_shapes(check, p, has_own_key_batch(options));
  check_outputs(check, p);
  check_sequences(p, options);
  check_sinks(check, p);
  p.scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(p.head_dim)));
  if (!std::isfinite(p.scale)) check.fail("scale must be finite", "a finite number", p.scale);
  if (p.block_mask) check_block_mask(check, p);
  apply_causal(p, options.causal);
  check_programs(check, p);
  p.needs_normalized_weights = p.weight_mod && !analysis::is_homogeneous(p.weight_mod);
  check_index_ranges(p);
  return p;
}

}  // namespace fovea::attention
