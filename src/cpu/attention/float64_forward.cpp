// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "attention/element_access.h"
#include "cpu/attention/float64.h"
#include "cpu/attention/float64_rows.h"

namespace fovea::cpu {
namespace {

using attention::Problem;

/// A thread's part of the forward pass.
class Worker {
 public:
  explicit Worker(const Problem& problem)
      : problem_(problem),
        rows_(problem),
        out_(static_cast<std::size_t>(Float64Rows::kRows * problem.value_dim)),
        modified_(static_cast<std::size_t>(Float64Rows::kKeys)) {
    if (problem.weight_mod) weight_mod_.emplace(problem.weight_mod);
  }

  void run(const Float64Tiles::Tile& tile) {
    if (tile.rows == 0) return;
    rows_.begin(tile);
    std::fill(out_.begin(), out_.end(), 0.0);
    for (const auto& piece : rows_.pieces()) {
      const double* values = rows_.pack_rows(problem_.value, piece);
      for (int64_t r = 0; r < tile.rows; ++r) {
        add_products({.factor = modified_weights(r, piece),
                      .count = piece.count,
                      .rows = values,
                      .pitch = problem_.value_dim,
                      .skips_zeros = true},
                     out_.data() + r * problem_.value_dim, problem_.value_dim);
      }
    }
    for (int64_t r = 0; r < tile.rows; ++r) store(r);
  }

 private:
  // 0 where masked.
  const double* modified_weights(int64_t r, const Float64Rows::Piece& piece) {
    const double* weights = rows_.weights(r) + piece.kv0;
    if (!weight_mod_) return weights;
    const auto& tile = rows_.tile();
    const auto count = static_cast<std::size_t>(piece.count);
    const uint8_t* visible = rows_.visible(r, piece);
    const auto results =
        weight_mod_->run_score(tile.b, tile.h, tile.q0 + r, piece.kv0, {weights, count}, visible);
    for (std::size_t i = 0; i < count; ++i) modified_[i] = visible[i] != 0 ? results[i] : 0;
    return modified_.data();
  }

  void store(int64_t r) const {
    const auto& tile = rows_.tile();
    const auto at = [&](const TensorView& tensor) {
      return attention::query_row(problem_, tensor, tile.b, tile.h, tile.q0 + r);
    };
    const TensorView& out = problem_.out;
    const double* row = out_.data() + r * problem_.value_dim;
    for (int64_t d = 0; d < problem_.value_dim; ++d) {
      attention::store_element(out, at(out) + d * out.stride(3), row[d]);
    }
    if (problem_.lse) attention::store_element(*problem_.lse, at(*problem_.lse), rows_.lse(r));
    if (!problem_.max_scores) return;
    attention::store_element(*problem_.max_scores, at(*problem_.max_scores), rows_.largest(r));
  }

  const Problem& problem_;
  Float64Rows rows_;
  std::optional<program::RowInterpreter> weight_mod_;
  std::vector<double> out_, modified_;
};

}  // namespace

void float64_forward(const Problem& problem, Executor& executor) {
  std::deque<Worker> workers;
  for (int i = 0; i < executor.num_threads(); ++i) workers.emplace_back(problem);
  const Float64Tiles tiles(problem);
  executor.parallel(tiles.count(), [&](int64_t task, int worker) {
    workers[static_cast<std::size_t>(worker)].run(tiles.at(task));
  });
}

}  // namespace fovea::cpu
