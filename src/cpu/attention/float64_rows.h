// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "attention/problem.h"
#include "program/interpret.h"

/// A few query rows of one head in float64: what both directions do with them.
namespace fovea::cpu {

/// Which rows there are: tiles of a few, none across two block rows of the mask. A tile may be empty.
struct Float64Tiles {
  explicit Float64Tiles(const attention::Problem& problem);

  struct Tile {
    int64_t b = 0, h = 0, q0 = 0, rows = 0;
    int64_t index = 0;  // of the tile in its head
  };
  int64_t count() const { return problem.batch * tiles * problem.q_heads; }
  /// Heads change fastest, so that neighbours add to different gradients.
  Tile at(int64_t task) const;

  const attention::Problem& problem;
  int64_t block_rows = 1;  // rows of a block of the mask; without one, all
  int64_t tiles = 0;       // of a head
  int64_t tiles_per_block = 1;
};

/// `out[j] += sum over i of factor[i * step] * rows[i * pitch + j]`, j < n, i < count.
struct Float64Sum {
  const double* factor = nullptr;
  int64_t step = 1, count = 0;
  const double* rows = nullptr;
  int64_t pitch = 0;
  bool skips_zeros = false;  // a factor of 0 hands nothing on, not even 0 * NaN
};
void add_products(const Float64Sum& sum, double* out, int64_t n);

/// Whether a score lets nothing through.
inline bool is_masked(double score) { return score == -std::numeric_limits<double>::infinity(); }

/// The memory of one thread. Nothing is allocated after construction.
class Float64Rows {
 public:
  static constexpr int64_t kRows = 8;    // at a time
  static constexpr int64_t kKeys = 128;  // at a time

  explicit Float64Rows(const attention::Problem& problem);

  /// Consecutive keys that the tile looks at; all of them, unless `partial`.
  struct Piece {
    int64_t kv0 = 0, count = 0;
    bool partial = false;
  };

  /// Reads the rows, and fills dots, scores and weights over the pieces.
  void begin(const Float64Tiles::Tile& tile);

  const Float64Tiles::Tile& tile() const { return tile_; }
  std::span<const Piece> pieces() const { return pieces_; }
  int64_t most_pieces() const { return static_cast<int64_t>(pieces_.capacity()); }

  // Of row r and position kv, in all of kv_len; only the pieces' entries have meaning.
  const double* dots(int64_t r) const { return dots_.data() + r * pitch_; }      // q k^T * scale
  const double* scores(int64_t r) const { return scores_.data() + r * pitch_; }  // -inf: masked
  double* weights(int64_t r) { return weights_.data() + r * pitch_; }            // of the softmax
  int64_t pitch() const { return pitch_; }
  const double* query(int64_t r) const { return query_.data() + r * problem_.head_dim; }

  double largest(int64_t r) const { return largest_[static_cast<std::size_t>(r)]; }
  double lse(int64_t r) const;
  double sink_weight(int64_t r) const;  // 0 without a sink
  /// Whether each key of a piece is visible to row r. Valid until the next call.
  const uint8_t* visible(int64_t r, const Piece& piece);

  /// The keys of a piece, or the values, as rows of a matrix of `pitch` = their dimension; or transposed,
  /// of `pitch` = kKeys. Valid until the next call of the same function.
  const double* pack_rows(const TensorView& tensor, const Piece& piece);
  const double* pack_columns(const TensorView& tensor, const Piece& piece);

 private:
  void find_pieces();
  void add_piece(int64_t begin, int64_t end, bool partial);
  void make_scores(const Piece& piece);
  void make_weights(int64_t r);

  const attention::Problem& problem_;
  std::optional<program::RowInterpreter> score_mod_, mask_mod_;
  Float64Tiles::Tile tile_;
  std::vector<Piece> pieces_;
  int64_t pitch_ = 0;
  std::vector<double> query_, dots_, scores_, weights_;
  std::vector<double> packed_rows_, packed_columns_;
  double sink_ = 0;
  std::vector<double> largest_, shift_, sum_;  // by row
  std::vector<uint8_t> visible_;
};

}  // namespace fovea::cpu
