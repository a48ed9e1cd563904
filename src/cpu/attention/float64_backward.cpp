// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "attention/element_access.h"
#include "cpu/attention/float64.h"
#include "cpu/attention/float64_gradients.h"
#include "cpu/attention/float64_rows.h"
#include "cpu/attention/turns.h"

namespace fovea::cpu {
namespace {

using attention::BackwardProblem;
using attention::Problem;
using Tile = Float64Tiles::Tile;
using Piece = Float64Rows::Piece;

/// What tiles share.
struct Sums {
  explicit Sums(const BackwardProblem& b)
      : key(b.dkey), value(b.dvalue), sinks(b.dsinks.value_or(TensorView{})) {
    for (const TensorView& view : b.score_captures) score.emplace_back(view);
    for (const TensorView& view : b.weight_captures) weight.emplace_back(view);
  }
  /// Of captured tensors and of sinks, which all heads add to.
  template <class F>
  void for_each_capture(F&& f) {
    if (sinks) f(sinks);
    for (auto* list : {&score, &weight}) {
      for (Float64Gradient& gradient : *list) {
        if (gradient) f(gradient);
      }
    }
  }
  template <class F>
  void for_each(F&& f) {
    if (key) f(key);
    if (value) f(value);
    for_each_capture(f);
  }
  Float64Gradient key, value, sinks;
  std::vector<Float64Gradient> score, weight;
};

/// A thread's part of the backward pass. With s the scores after score_mod, w = exp(s - lse) the weights
/// before weight_mod m, and the sink a score whose dw is 0:
///   out = sum m(w) v,   dw = m'(w) (dout . v),   ds = w (dw - sum w dw + dlse).
class Worker {
 public:
  Worker(const BackwardProblem& b, Sums& sums)
      : b_(b),
        p_(b.forward),
        rows_(p_),
        sums_(sums),
        score_(b.score_joint.get(), p_.score_mod, runs(), elements(), sums.score),
        weight_(b.weight_joint.get(), p_.weight_mod, runs(), elements(), sums.weight),
        dout_(size(p_.value_dim)),
        modified_(weight_ ? size(p_.kv_len) : 0),
        dscores_(size(p_.kv_len)),
        dquery_(size(p_.head_dim)),
        row_(static_cast<std::size_t>(std::max(p_.head_dim, p_.value_dim))) {}

  /// All that the tile needs nobody for: its rows of dquery, and what it will add to the rest.
  void compute(const Tile& tile) {
    rows_.begin(tile);
    score_.begin_tile();
    weight_.begin_tile();
    read_dout();
    for (const Piece& piece : rows_.pieces()) make_dweights(piece);
    for (int64_t r = 0; r < tile.rows; ++r) finish_row(r);
    std::fill(dquery_.begin(), dquery_.end(), 0.0);
    for (const Piece& piece : rows_.pieces()) make_ddots(piece);
    if (b_.dquery) store_dquery();
  }

  /// To dkey and dvalue.
  void add_to_keys() {
    for (const Piece& piece : rows_.pieces()) {
      for (int64_t i = 0; i < piece.count; ++i) add_to_key(piece.kv0 + i);
    }
  }
  void add_to_captures() {
    score_.add();
    weight_.add();
    if (!sums_.sinks) return;
    for (int64_t r = 0; r < rows_.tile().rows; ++r) {
      sums_.sinks.add(rows_.tile().h * sums_.sinks.sums().stride(0), dsinks_[r]);
    }
  }

 private:
  int64_t runs() const { return Float64Rows::kRows * rows_.most_pieces(); }
  int64_t elements() const { return Float64Rows::kRows * p_.kv_len; }
  static std::size_t size(int64_t width) {
    return static_cast<std::size_t>(Float64Rows::kRows * width);
  }
  program::Inputs first(int64_t r, const Piece& piece) const {
    const Tile& tile = rows_.tile();
    return {.b = tile.b, .h = tile.h, .q = tile.q0 + r, .kv = piece.kv0};
  }
  // d loss / d weight, then d loss / d score, then d loss / d dot.
  double* dscores(int64_t r) { return dscores_.data() + r * rows_.pitch(); }
  const double* modified(int64_t r) {
    return weight_ ? modified_.data() + r * rows_.pitch() : rows_.weights(r);
  }
  int64_t row_of(const TensorView& tensor, int64_t r) const {
    const Tile& tile = rows_.tile();
    return attention::query_row(p_, tensor, tile.b, tile.h, tile.q0 + r);
  }

  void read_dout() {
    for (int64_t r = 0; r < rows_.tile().rows; ++r) {
      const int64_t at = row_of(b_.dout, r);
      double* to = dout_.data() + r * p_.value_dim;
      for (int64_t d = 0; d < p_.value_dim; ++d) {
        to[d] = attention::load_element(b_.dout, at + d * b_.dout.stride(3));
      }
    }
  }

  void make_dweights(const Piece& piece) {
    const double* values = rows_.pack_columns(p_.value, piece);
    const auto count = static_cast<std::size_t>(piece.count);
    for (int64_t r = 0; r < rows_.tile().rows; ++r) {
      double* dweights = dscores(r) + piece.kv0;
      std::fill_n(dweights, piece.count, 0.0);
      add_products({.factor = dout_.data() + r * p_.value_dim,
                    .count = p_.value_dim,
                    .rows = values,
                    .pitch = Float64Rows::kKeys},
                   dweights, piece.count);
      if (!weight_) continue;
      weight_.run(first(r, piece), {rows_.weights(r) + piece.kv0, count}, {dweights, count},
                  rows_.visible(r, piece), modified_.data() + r * rows_.pitch() + piece.kv0);
    }
  }

  // From d loss / d weight to d loss / d score.
  void finish_row(int64_t r) {
    const double* weights = rows_.weights(r);
    double* dweights = dscores(r);
    double mean = 0;  // of dweights, by weight
    for (const Piece& piece : rows_.pieces()) {
      for (int64_t kv = piece.kv0; kv < piece.kv0 + piece.count; ++kv) {
        if (weights[kv] != 0) mean += weights[kv] * dweights[kv];
      }
    }
    const double dlse = b_.dlse ? attention::load_element(*b_.dlse, row_of(*b_.dlse, r)) : 0;
    for (const Piece& piece : rows_.pieces()) {
      for (int64_t kv = piece.kv0; kv < piece.kv0 + piece.count; ++kv) {
        dweights[kv] = weights[kv] == 0 ? 0 : weights[kv] * (dweights[kv] - mean + dlse);
      }
    }
    const double sink = rows_.sink_weight(r);
    dsinks_[r] = sink == 0 ? 0 : sink * (dlse - mean);
  }

  // From d loss / d score to d loss / d dot, and the query's gradient.
  void make_ddots(const Piece& piece) {
    const auto count = static_cast<std::size_t>(piece.count);
    const double* keys = b_.dquery ? rows_.pack_rows(p_.key, piece) : nullptr;
    for (int64_t r = 0; r < rows_.tile().rows; ++r) {
      double* ddots = dscores(r) + piece.kv0;
      if (score_) {
        for (std::size_t i = 0; i < count; ++i) not_zero_[i] = ddots[i] != 0 ? 1 : 0;
        score_.run(first(r, piece), {rows_.dots(r) + piece.kv0, count}, {ddots, count}, not_zero_,
                   nullptr);
      }
      for (std::size_t i = 0; i < count; ++i) ddots[i] *= p_.scale;
      if (!b_.dquery) continue;
      add_products({.factor = ddots,
                    .count = piece.count,
                    .rows = keys,
                    .pitch = p_.head_dim,
                    .skips_zeros = true},
                   dquery_.data() + r * p_.head_dim, p_.head_dim);
    }
  }

  void store_dquery() const {
    for (int64_t r = 0; r < rows_.tile().rows; ++r) {
      const int64_t at = row_of(b_.dquery, r);
      for (int64_t d = 0; d < p_.head_dim; ++d) {
        attention::store_element(b_.dquery, at + d * b_.dquery.stride(3),
                                 dquery_[static_cast<std::size_t>(r * p_.head_dim + d)]);
      }
    }
  }

  void add_to_key(int64_t kv) {
    const auto sum = [&](const double* factor, const double* rows, int64_t width) {
      return Float64Sum{.factor = factor + kv,
                        .step = rows_.pitch(),
                        .count = rows_.tile().rows,
                        .rows = rows,
                        .pitch = width,
                        .skips_zeros = true};
    };
    if (sums_.key) add_row(sum(dscores(0), rows_.query(0), p_.head_dim), sums_.key.sums(), kv);
    if (sums_.value) {
      add_row(sum(modified(0), dout_.data(), p_.value_dim), sums_.value.sums(), kv);
    }
  }

  void add_row(const Float64Sum& sum, const TensorView& gradient, int64_t kv) {
    const Tile& tile = rows_.tile();
    std::fill_n(row_.begin(), sum.pitch, 0.0);
    add_products(sum, row_.data(), sum.pitch);
    auto* to = static_cast<double*>(gradient.data) +
               attention::key_row(p_, gradient, tile.b, tile.h / p_.group(), kv);
    for (int64_t d = 0; d < sum.pitch; ++d) {
      to[d * gradient.stride(3)] += row_[static_cast<std::size_t>(d)];
    }
  }

  const BackwardProblem& b_;
  const Problem& p_;
  Float64Rows rows_;
  Sums& sums_;
  Float64Joint score_, weight_;
  std::vector<double> dout_, modified_, dscores_, dquery_, row_;
  double dsinks_[Float64Rows::kRows] = {};
  uint8_t not_zero_[Float64Rows::kKeys] = {};
};

/// In which order tiles add to the gradients that they share: a line for each key head (of all batches
/// together, if one key serves them), and one for all captured tensors.
class Lines {
 public:
  Lines(const BackwardProblem& b, const Float64Tiles& tiles)
      : p_(b.forward),
        tiles_(tiles.tiles),
        shared_((b.dkey && b.dkey.size(0) == 1) || (b.dvalue && b.dvalue.size(0) == 1)),
        heads_((shared_ ? 1 : p_.batch) * p_.kv_heads) {}

  int64_t count() const { return heads_ + 1; }
  Turns::Place keys(const Tile& tile) const {
    const int64_t head = tile.h / p_.group();
    const int64_t line = (shared_ ? 0 : tile.b * p_.kv_heads) + head;
    const int64_t before = shared_ ? tile.b * tiles_ : 0;
    return {line, (before + tile.index) * p_.group() + tile.h % p_.group()};
  }
  Turns::Place captures(int64_t task) const { return {heads_, task}; }

 private:
  const Problem& p_;
  const int64_t tiles_;
  const bool shared_;
  const int64_t heads_;
};

}  // namespace

void float64_backward(const BackwardProblem& problem, Executor& executor) {
  Sums sums(problem);
  std::deque<Worker> workers;
  for (int i = 0; i < executor.num_threads(); ++i) workers.emplace_back(problem, sums);
  const Float64Tiles tiles(problem.forward);
  const Lines lines(problem, tiles);
  Turns turns(lines.count());
  bool any_capture = false;
  sums.for_each_capture([&](Float64Gradient&) { any_capture = true; });
  sums.for_each([](Float64Gradient& gradient) { gradient.clear(); });
  if (problem.dquery) attention::store_zeros(problem.dquery);
  executor.parallel(tiles.count(), [&](int64_t task, int worker) {
    const Tile tile = tiles.at(task);
    Turns::Turn keys_turn(turns, lines.keys(tile));
    std::optional<Turns::Turn> captures_turn;
    if (any_capture) captures_turn.emplace(turns, lines.captures(task));
    if (tile.rows == 0) return;
    Worker& own = workers[static_cast<std::size_t>(worker)];
    own.compute(tile);
    keys_turn.wait();
    own.add_to_keys();
    keys_turn.end();
    if (!any_capture) return;
    captures_turn->wait();
    own.add_to_captures();
  });
  sums.for_each([](Float64Gradient& gradient) { gradient.store(); });
}

}  // namespace fovea::cpu
