// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <fovea/block_mask.h>
#include <fovea/executor.h>
#include "core/fail.h"
#include "mask/block_mask_data.h"
#include "program/interpret.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "create_mask";

void check_at_least(const char* rule, int64_t least, int64_t got) {
  core::require(got >= least, kWhere, rule, "at least " + std::to_string(least), got);
}

int64_t checked_size(const Program& mod, const MaskOptions& options) {
  core::require(static_cast<bool>(mod), kWhere, "mod must not be empty", "a mask_mod or score_mod",
                "an empty program");
  check_at_least("q_len must not be negative", 0, options.q_len);
  check_at_least("kv_len must not be negative", 0, options.kv_len);
  check_at_least("batch must not be negative", 0, options.batch);
  check_at_least("heads must not be negative", 0, options.heads);
  const int64_t bytes =
      mask::product({options.batch, options.heads, options.q_len, options.kv_len});
  core::require(bytes <= options.max_bytes, kWhere, "mask must fit max_bytes",
                "at most " + std::to_string(options.max_bytes) + " bytes", bytes);
  return bytes;
}

}  // namespace

std::vector<uint8_t> create_mask(const Program& mod, const MaskOptions& options) {
  std::vector<uint8_t> mask(static_cast<std::size_t>(checked_size(mod, options)));
  if (mask.empty()) return mask;
  Executor& executor = default_executor();
  std::vector<std::unique_ptr<program::RowInterpreter>> interpreters(
      static_cast<std::size_t>(executor.num_threads()));
  const std::vector<double> zeros(
      mod.kind() == ModKind::score ? static_cast<std::size_t>(options.kv_len) : 0);
  const int64_t rows = options.batch * options.heads * options.q_len;
  executor.parallel(rows, [&](int64_t row, int worker) {
    auto& interpreter = interpreters[static_cast<std::size_t>(worker)];
    if (!interpreter) interpreter = std::make_unique<program::RowInterpreter>(mod);
    const int64_t q = row % options.q_len;
    const int64_t h = row / options.q_len % options.heads;
    const int64_t b = row / options.q_len / options.heads;
    const auto out = mask.begin() + row * options.kv_len;
    if (mod.kind() == ModKind::mask) {
      std::ranges::copy(interpreter->run_mask(b, h, q, 0, options.kv_len), out);
    } else {
      const auto scores = interpreter->run_score(b, h, q, 0, zeros);
      std::ranges::transform(scores, out,
                             [](double score) { return static_cast<uint8_t>(score != -HUGE_VAL); });
    }
  });
  return mask;
}

}  // namespace fovea
