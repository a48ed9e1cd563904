// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include <fovea/block_mask.h>
#include <fovea/executor.h>
#include "analysis/bounds.h"
#include "analysis/dependence.h"
#include "core/fail.h"
#include "mask/plane_builder.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "create_block_mask";

void check_at_least(const char* rule, int64_t least, int64_t got) {
  core::require(got >= least, kWhere, rule, "at least " + std::to_string(least), got);
}

void check_options(const BlockMaskOptions& options) {
  check_at_least("q_len must not be negative", 0, options.q_len);
  check_at_least("kv_len must not be negative", 0, options.kv_len);
  check_at_least("batch must be positive", 1, options.batch);
  check_at_least("heads must be positive", 1, options.heads);
  check_at_least("block_size.q must be positive", 1, options.block_size.q);
  check_at_least("block_size.kv must be positive", 1, options.block_size.kv);
  mask::check_blocks(kWhere, "q", options.q_len, options.block_size.q);
  mask::check_blocks(kWhere, "kv", options.kv_len, options.block_size.kv);
}

void check_mod(const Program& mod) {
  core::require(static_cast<bool>(mod), kWhere, "mask_mod must not be empty", "a mask_mod",
                "an empty program");
  core::require(mod.kind() == ModKind::mask, kWhere, "program must be a mask_mod",
                "(b, h, q, kv) -> bool", "a score_mod");
}

// One builder a worker: they share the tables of captured tensors.
void build_planes(const Program& simplified, bool diagonal, const BlockMaskOptions& options,
                  BlockMask::Data& data) {
  const int64_t count = data.batch * data.heads;
  data.planes.resize(static_cast<std::size_t>(count));
  const analysis::Bounds bounds(simplified);
  Executor* executor = count > 1 ? &default_executor() : nullptr;
  std::vector<std::unique_ptr<mask::PlaneBuilder>> builders(
      executor ? static_cast<std::size_t>(executor->num_threads()) : 1);
  const auto build = [&](int64_t plane, int worker) {
    auto& builder = builders[static_cast<std::size_t>(worker)];
    if (!builder) {
      builder = std::make_unique<mask::PlaneBuilder>(simplified, bounds.clone(), diagonal, options);
    }
    data.planes[static_cast<std::size_t>(plane)] =
        builder->build(plane / data.heads, plane % data.heads);
  };
  if (executor) {
    executor->parallel(count, build);
  } else {
    build(0, 0);
  }
  for (const auto& builder : builders) {
    if (!builder) continue;
    const BlockMaskStats stats = builder->stats();
    data.stats.boxes += stats.boxes;
    data.stats.leaves += stats.leaves;
    data.stats.leaf_evaluations += stats.leaf_evaluations;
  }
}

}  // namespace

BlockMask create_block_mask(const Program& mask_mod, const BlockMaskOptions& options) {
  check_mod(mask_mod);
  check_options(options);
  const analysis::Box whole{.b1 = options.batch - 1,
                            .h1 = options.heads - 1,
                            .q1 = options.q_len - 1,
                            .kv1 = options.kv_len - 1};
  analysis::check_ranges(mask_mod, whole, kWhere);

  const Program simplified = simplify(mask_mod);
  const auto& graph = simplified.graph();
  const analysis::Dependence root =
      analysis::dependence(graph)[static_cast<std::size_t>(graph.root)];
  auto data = std::make_shared<BlockMask::Data>();
  data->mask_mod = mask_mod;
  data->batch = root.b ? options.batch : 1;
  data->heads = root.h ? options.heads : 1;
  data->block_size = options.block_size;
  data->set_lengths(options.q_len, options.kv_len);
  build_planes(simplified, root.shape == analysis::ShapeClass::diagonal, options, *data);
  data->count_blocks();
  return BlockMask(std::move(data));
}

}  // namespace fovea
