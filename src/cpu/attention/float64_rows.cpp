// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/float64_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/element_access.h"

namespace fovea::cpu {
namespace {

using attention::Problem;

constexpr double kMasked = -std::numeric_limits<double>::infinity();

int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

std::vector<double> zeros(int64_t count) {
  return std::vector<double>(static_cast<std::size_t>(count));
}

// `count` elements of a row that begins at position `at`, each `step` doubles from the one before.
void load_row(const TensorView& tensor, int64_t at, int64_t count, double* to, int64_t step) {
  const int64_t stride = tensor.stride(3);
  const auto* data = static_cast<const double*>(tensor.data) + at;
  for (int64_t d = 0; d < count; ++d) to[d * step] = data[d * stride];
}

}  // namespace

Float64Tiles::Float64Tiles(const Problem& p) : problem(p) {
  const int64_t q_len = std::max<int64_t>(p.q_len, 1);
  block_rows = p.block_mask ? std::min(p.block_mask.block_size().q, q_len) : q_len;
  tiles_per_block = divide_up(block_rows, Float64Rows::kRows);
  tiles = p.q_len == 0 ? 0 : divide_up(p.q_len, block_rows) * tiles_per_block;
}

Float64Tiles::Tile Float64Tiles::at(int64_t task) const {
  Tile tile;
  tile.h = task % problem.q_heads;
  tile.index = task / problem.q_heads % tiles;
  tile.b = task / problem.q_heads / tiles;
  const int64_t block = tile.index / tiles_per_block;
  tile.q0 = block * block_rows + tile.index % tiles_per_block * Float64Rows::kRows;
  const int64_t end = std::min((block + 1) * block_rows, problem.sequence(tile.b).q_len);
  tile.rows = std::clamp<int64_t>(end - tile.q0, 0, Float64Rows::kRows);
  return tile;
}

void add_products(const Float64Sum& sum, double* __restrict out, int64_t n) {
  constexpr int kTogether = 4;  // so that `out` is loaded and stored once for all of them
  const double* rows[kTogether];
  double factors[kTogether];
  int count = 0;
  for (int64_t i = 0; i < sum.count; ++i) {
    if (sum.skips_zeros && sum.factor[i * sum.step] == 0) continue;
    rows[count] = sum.rows + i * sum.pitch;
    factors[count++] = sum.factor[i * sum.step];
    if (count < kTogether) continue;
    count = 0;
    const double *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    const double fa = factors[0], fb = factors[1], fc = factors[2], fd = factors[3];
    for (int64_t j = 0; j < n; ++j) {
      out[j] += (fa * a[j] + fb * b[j]) + (fc * c[j] + fd * d[j]);
    }
  }
  for (int k = 0; k < count; ++k) {
    const double* a = rows[k];
    const double fa = factors[k];
    for (int64_t j = 0; j < n; ++j) out[j] += fa * a[j];
  }
}

Float64Rows::Float64Rows(const Problem& p)
    : problem_(p),
      pitch_(p.kv_len),
      query_(zeros(kRows * p.head_dim)),
      dots_(zeros(kRows * p.kv_len)),
      scores_(zeros(kRows * p.kv_len)),
      weights_(zeros(kRows * p.kv_len)),
      packed_rows_(zeros(kKeys * std::max(p.head_dim, p.value_dim))),
      packed_columns_(zeros(kKeys * std::max(p.head_dim, p.value_dim))),
      largest_(zeros(kRows)),
      shift_(zeros(kRows)),
      sum_(zeros(kRows)),
      visible_(static_cast<std::size_t>(kKeys)) {
  if (p.score_mod) score_mod_.emplace(p.score_mod);
  if (p.mask_mod) mask_mod_.emplace(p.mask_mod);
  // A block column is listed once at most.
  const int64_t runs = p.block_mask ? p.block_mask.columns() : 1;
  pieces_.reserve(static_cast<std::size_t>(p.kv_len / kKeys + 2 * runs));
}

void Float64Rows::add_piece(int64_t begin, int64_t end, bool partial) {
  end = std::min(end, problem_.sequence(tile_.b).kv_len);
  for (int64_t kv0 = begin; kv0 < end; kv0 += kKeys) {
    pieces_.push_back({kv0, std::min(kKeys, end - kv0), partial});
  }
}

void Float64Rows::find_pieces() {
  pieces_.clear();
  const BlockMask& mask = problem_.block_mask;
  if (!mask) return add_piece(0, problem_.kv_len, false);
  const BlockSize size = mask.block_size();
  const int64_t row = tile_.q0 / size.q;
  for (const BlockRun& run : mask.full(tile_.b, tile_.h, row)) {
    add_piece(run.begin * size.kv, run.end * size.kv, false);
  }
  for (const BlockRun& run : mask.partial(tile_.b, tile_.h, row)) {
    add_piece(run.begin * size.kv, run.end * size.kv, true);
  }
  std::ranges::sort(pieces_, {}, &Piece::kv0);
}

const double* Float64Rows::pack_rows(const TensorView& tensor, const Piece& piece) {
  const int64_t width = tensor.size(3);
  for (int64_t i = 0; i < piece.count; ++i) {
    const int64_t at =
        attention::key_row(problem_, tensor, tile_.b, tile_.h / problem_.group(), piece.kv0 + i);
    load_row(tensor, at, width, packed_rows_.data() + i * width, 1);
  }
  return packed_rows_.data();
}

const double* Float64Rows::pack_columns(const TensorView& tensor, const Piece& piece) {
  const int64_t width = tensor.size(3);
  for (int64_t i = 0; i < piece.count; ++i) {
    const int64_t at =
        attention::key_row(problem_, tensor, tile_.b, tile_.h / problem_.group(), piece.kv0 + i);
    load_row(tensor, at, width, packed_columns_.data() + i, kKeys);
  }
  return packed_columns_.data();
}

void Float64Rows::begin(const Float64Tiles::Tile& tile) {
  tile_ = tile;
  const Problem& p = problem_;
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t at = attention::query_row(p, p.query, tile.b, tile.h, tile.q0 + r);
    load_row(p.query, at, p.head_dim, query_.data() + r * p.head_dim, 1);
  }
  sink_ = p.sinks ? attention::load_element(*p.sinks, tile.h * p.sinks->stride(0)) : kMasked;
  find_pieces();
  for (const Piece& piece : pieces_) make_scores(piece);
  for (int64_t r = 0; r < tile.rows; ++r) make_weights(r);
}

void Float64Rows::make_scores(const Piece& piece) {
  const double* keys = pack_columns(problem_.key, piece);
  const auto count = static_cast<std::size_t>(piece.count);
  for (int64_t r = 0; r < tile_.rows; ++r) {
    const int64_t q = tile_.q0 + r;
    double* dots = dots_.data() + r * pitch_ + piece.kv0;
    double* scores = scores_.data() + r * pitch_ + piece.kv0;
    std::fill_n(dots, piece.count, 0.0);
    add_products({.factor = query(r), .count = problem_.head_dim, .rows = keys, .pitch = kKeys},
                 dots, piece.count);
    for (std::size_t i = 0; i < count; ++i) dots[i] *= problem_.scale;
    const uint8_t* visible = nullptr;
    if (piece.partial) {
      visible = mask_mod_->run_mask(tile_.b, tile_.h, q, piece.kv0, piece.count).data();
    }
    const double* modified = dots;
    if (score_mod_) {
      modified =
          score_mod_->run_score(tile_.b, tile_.h, q, piece.kv0, {dots, count}, visible).data();
    }
    for (std::size_t i = 0; i < count; ++i) {
      scores[i] = visible == nullptr || visible[i] != 0 ? modified[i] : kMasked;
    }
  }
}

void Float64Rows::make_weights(int64_t r) {
  const double* scores_of_row = scores(r);
  double* weights_of_row = weights(r);
  double largest = kMasked;
  for (const Piece& piece : pieces_) {
    for (int64_t kv = piece.kv0; kv < piece.kv0 + piece.count; ++kv) {
      const double s = scores_of_row[kv];
      if (std::isnan(s) || s > largest) largest = s;
    }
  }
  const double shift = std::isnan(sink_) || sink_ > largest ? sink_ : largest;
  double sum = sink_ == kMasked ? 0 : std::exp(sink_ - shift);
  for (const Piece& piece : pieces_) {
    for (int64_t kv = piece.kv0; kv < piece.kv0 + piece.count; ++kv) {
      const double s = scores_of_row[kv];
      const double e = is_masked(s) ? 0 : std::exp(s - shift);
      weights_of_row[kv] = e;
      sum += e;
    }
  }
  for (const Piece& piece : pieces_) {
    for (int64_t kv = piece.kv0; kv < piece.kv0 + piece.count; ++kv) {
      if (!is_masked(scores_of_row[kv])) weights_of_row[kv] /= sum;
    }
  }
  const auto row = static_cast<std::size_t>(r);
  largest_[row] = largest;
  shift_[row] = shift;
  sum_[row] = sum;
}

double Float64Rows::lse(int64_t r) const {
  const auto row = static_cast<std::size_t>(r);
  return shift_[row] == kMasked ? kMasked : shift_[row] + std::log(sum_[row]);
}

double Float64Rows::sink_weight(int64_t r) const {
  const auto row = static_cast<std::size_t>(r);
  return sink_ == kMasked ? 0 : std::exp(sink_ - shift_[row]) / sum_[row];
}

const uint8_t* Float64Rows::visible(int64_t r, const Piece& piece) {
  const double* scores_of_piece = scores(r) + piece.kv0;
  for (int64_t i = 0; i < piece.count; ++i) {
    visible_[static_cast<std::size_t>(i)] = is_masked(scores_of_piece[i]) ? 0 : 1;
  }
  return visible_.data();
}

}  // namespace fovea::cpu
