// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>

#include <fovea/error.h>
#include "analysis/bounds.h"
#include "attention/problem.h"
#include "core/fail.h"
#include "program/graph.h"

namespace fovea::attention {
namespace {

/// Checks rules in the name of one public function.
class Checker {
 public:
  explicit Checker(const char* where) : where_(where) {}

  template <class Expected, class Got>
  void require(bool ok, const std::string& rule, const Expected& expected, const Got& got) const {
    if (!ok) core::fail_argument(where_, rule, core::text(expected), core::text(got));
  }
  void equal(const char* rule, int64_t expected, int64_t got) const {
    if (expected != got) require(false, rule, expected, got);
  }

  void tensor(const char* name, const TensorView& view) const {
    const auto rule = [&](const char* text) { return std::string(name) + text; };
    if (view.device.type != DeviceType::cpu && view.device.type != DeviceType::cuda) {
      require(false, rule(" must be on a known device"), "cpu or cuda", "another");
    }
    if (view.rank() != 4) {
      require(false, rule(" must have 4 dimensions (batch, heads, length, head_dim)"), 4,
              view.rank());
    }
    if (!is_floating(view.dtype)) {
      require(false, rule(" must be floating-point"), "f64, f32, bf16 or f16", name_of(view.dtype));
    }
    for (const int64_t size : view.sizes) {
      if (size < 0) require(false, rule(" sizes must not be negative"), "at least 0", size);
    }
    if (view.data == nullptr && view.numel() > 0) {
      require(false, rule(" must have memory"), "a pointer", "null");
    }
  }

  void captures(const char* name, const Program& program) const {
    int slot = 0;
    for (const TensorView& view : program.captures()) {
      const auto rule = [&](const char* text) {
        return "capture t" + std::to_string(slot) + " of " + name + text;
      };
      if (view.data == nullptr && view.numel() > 0) {
        require(false, rule(" must be bound to memory"), "a pointer", "null");
      }
      ++slot;
    }
  }

  const char* where() const { return where_; }

 private:
  const char* where_;
};

void check_devices(const Checker& check, const Problem& p) {
  const auto same = [&](const char* name, const TensorView& view) {
    if (view.device == p.query.device) return;
    check.require(false, std::string(name) + " must be on the query's device",
                  p.query.device.type == DeviceType::cpu ? "cpu" : "cuda",
                  view.device.type == DeviceType::cpu ? "cpu" : "cuda");
  };
  same("key", p.key);
  same("value", p.value);
  same("out", p.out);
  if (p.lse) same("lse", *p.lse);
}

void check_dtypes(const Checker& check, const Problem& p) {
  const auto same = [&](const char* rule, const TensorView& view) {
    if (view.dtype != p.query.dtype) {
      check.require(false, rule, name_of(p.query.dtype), name_of(view.dtype));
    }
  };
  same("key dtype must equal query dtype", p.key);
  same("value dtype must equal query dtype", p.value);
}

void check_shapes(const Checker& check, Problem& p) {
  p.batch = p.query.size(0);
  p.q_heads = p.query.size(1);
  p.q_len = p.query.size(2);
  p.head_dim = p.query.size(3);
  p.kv_heads = p.key.size(1);
  p.kv_len = p.key.size(2);
  p.value_dim = p.value.size(3);
  check.require(p.head_dim >= 1, "query head_dim must be positive", "at least 1", p.head_dim);
  check.require(p.value_dim >= 1, "value head_dim must be positive", "at least 1", p.value_dim);
  check.equal("key batch must equal query batch", p.batch, p.key.size(0));
  check.equal("value batch must equal key batch", p.key.size(0), p.value.size(0));
  check.equal("key head_dim must equal query head_dim", p.head_dim, p.key.size(3));
  check.equal("value heads must equal key heads", p.kv_heads, p.value.size(1));
  check.equal("value length must equal key length", p.kv_len, p.value.size(2));
  if (p.q_heads > 0) {
    check.require(p.kv_heads > 0 && p.q_heads % p.kv_heads == 0,
                  "query heads must be a multiple of key heads",
                  "a multiple of " + std::to_string(p.kv_heads), p.q_heads);
  }
}

void check_outputs(const Checker& check, const Problem& p) {
  const Dims out{p.batch, p.q_heads, p.q_len, p.value_dim};
  check.require(p.out.sizes == out, "out must have the shape of the result", to_string(out),
                to_string(p.out.sizes));
  if (!p.lse) return;
  const Dims lse{p.batch, p.q_heads, p.q_len};
  check.require(p.lse->sizes == lse, "lse must have the shape (batch, query heads, query length)",
                to_string(lse), to_string(p.lse->sizes));
  check.require(p.lse->dtype == DType::f32 || p.lse->dtype == DType::f64, "lse dtype must be f32",
                "f32", name_of(p.lse->dtype));
  check.require(p.lse->data != nullptr || p.lse->numel() == 0, "lse must have memory", "a pointer",
                "null");
}

void check_block_mask(const Checker& check, const Problem& p) {
  const BlockMask& mask = p.block_mask;
  const auto hint = [](int64_t q, int64_t kv) {
    return std::to_string(q) + " x " + std::to_string(kv);
  };
  check.require(mask.q_len() == p.q_len && mask.kv_len() == p.kv_len,
                "block_mask must be made for these lengths (create_block_mask with q_len, kv_len)",
                hint(p.q_len, p.kv_len), hint(mask.q_len(), mask.kv_len()));
  check.require(mask.batch() == 1 || mask.batch() == p.batch,
                "block_mask batch must be 1 or the query's", "1 or " + std::to_string(p.batch),
                mask.batch());
  check.require(mask.heads() == 1 || mask.heads() == p.q_heads,
                "block_mask heads must be 1 or the query's", "1 or " + std::to_string(p.q_heads),
                mask.heads());
}

void check_programs(const Checker& check, Problem& p) {
  if (p.score_mod) {
    check.require(p.score_mod.kind() == ModKind::score, "score_mod must be a score program",
                  "(score, b, h, q, kv) -> score", "a mask_mod");
    check.captures("score_mod", p.score_mod);
  }
  if (p.mask_mod) check.captures("mask_mod", p.mask_mod);
  if (p.batch == 0 || p.q_heads == 0 || p.q_len == 0 || p.kv_len == 0) return;
  const analysis::Box whole{.b0 = 0,
                            .b1 = p.batch - 1,
                            .h0 = 0,
                            .h1 = p.q_heads - 1,
                            .q0 = 0,
                            .q1 = p.q_len - 1,
                            .kv0 = 0,
                            .kv1 = p.kv_len - 1};
  for (const Program* program : {&p.score_mod, &p.mask_mod}) {
    if (!*program) continue;
    p.needs_64_bits |= analysis::check_ranges(*program, whole, check.where()).needs_64_bits;
  }
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
  p.query = query;
  p.key = key;
  p.value = value;
  p.out = out;
  p.lse = options.lse;
  p.score_mod = options.score_mod;
  p.block_mask = options.block_mask;
  if (p.block_mask) p.mask_mod = p.block_mask.mask_mod();
  check_devices(check, p);
  check_dtypes(check, p);
  check_shapes(check, p);
  check_outputs(check, p);
  p.scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(p.head_dim)));
  check.require(std::isfinite(p.scale), "scale must be finite", "a finite number", p.scale);
  if (p.block_mask) check_block_mask(check, p);
  check_programs(check, p);
  return p;
}

}  // namespace fovea::attention
