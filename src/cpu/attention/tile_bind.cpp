// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <fovea/error.h>
#include <fovea/program.h>
#include "cpu/attention/lower.h"
#include "cpu/attention/tile_program.h"
#include "program/derive.h"
#include "program/interpret.h"

namespace fovea::cpu {

struct TileBinding::Data {
  TileArguments arguments;
  std::vector<uint32_t> params;
  std::vector<TileCapture> captures;
  TileProgram program;  // of the 64-bit path alone, as are
  Program score_mod, mask_mod;
};

namespace {

bool fits_32_bits(const Literal& value) {
  return value.type != ScalarType::i32 || (value.i >= std::numeric_limits<int32_t>::min() &&
                                           value.i <= std::numeric_limits<int32_t>::max());
}

uint32_t bits_of(const Literal& value) {
  switch (value.type) {
    case ScalarType::f32: return std::bit_cast<uint32_t>(static_cast<float>(value.f));
    case ScalarType::i32: return static_cast<uint32_t>(value.i);
    case ScalarType::boolean: return value.i != 0 ? ~uint32_t{0} : 0;
  }
  return 0;
}

TileCapture capture_of(const TensorView& tensor) {
  static_assert(TileCapture::kMaxRank == kMaxRank);
  TileCapture capture{.data = tensor.data, .dtype = tensor.dtype, .rank = tensor.rank()};
  for (int i = 0; i < tensor.rank(); ++i) {
    capture.sizes[i] = tensor.size(i);
    capture.strides[i] = tensor.stride(i);
  }
  return capture;
}

// One row through the interpreters: the mask first, then the score where it is true, because an
// index may be out of range where nothing is asked for. Kernels cannot throw: a row that fails is
// done again element by element, and what has no value becomes NaN or false, as on the 32-bit path.
class SlowRow {
 public:
  SlowRow(const TileBinding::Data& data, bool apply_mask) : data_(data) {
    if (data.score_mod) score_.emplace(data.score_mod);
    if (data.mask_mod && apply_mask) mask_.emplace(data.mask_mod);
  }

  void run(program::Inputs at, std::span<float> scores) {
    if (!mask_) return run_score(at, scores);
    run_mask(at, scores.size());
    for (std::size_t j = 0; j < scores.size();) {
      std::size_t end = j + 1;
      while (end < scores.size() && allowed_[end] == allowed_[j]) ++end;
      const std::span<float> run = scores.subspan(j, end - j);
      if (allowed_[j] != 0) {
        run_score(shifted(at, j), run);
      } else {
        std::fill(run.begin(), run.end(), -std::numeric_limits<float>::infinity());
      }
      j = end;
    }
  }

 private:
  static program::Inputs shifted(program::Inputs at, std::size_t j) {
    at.kv += static_cast<int64_t>(j);
    return at;
  }

  void run_mask(const program::Inputs& at, std::size_t count) {
    allowed_.assign(count, 0);
    try {
      const auto row = mask_->run_mask(at.b, at.h, at.q, at.kv, static_cast<int64_t>(count));
      for (std::size_t j = 0; j < count; ++j) allowed_[j] = row[j] != 0;
    } catch (const InvalidArgument&) {
      for (std::size_t j = 0; j < count; ++j) allowed_[j] = is_allowed(shifted(at, j));
    }
  }

  void run_score(const program::Inputs& at, std::span<float> scores) {
    if (!score_) return;
    row_.assign(scores.begin(), scores.end());
    try {
      const auto result = score_->run_score(at.b, at.h, at.q, at.kv, row_);
      for (std::size_t j = 0; j < scores.size(); ++j) scores[j] = static_cast<float>(result[j]);
    } catch (const InvalidArgument&) {
      for (std::size_t j = 0; j < scores.size(); ++j) scores[j] = score_of(shifted(at, j), row_[j]);
    }
  }

  bool is_allowed(const program::Inputs& at) const {
    try {
      return program::interpret(data_.mask_mod, at).i != 0;
    } catch (const InvalidArgument&) {
      return false;
    }
  }

  float score_of(program::Inputs at, double score) const {
    at.score = score;
    try {
      return static_cast<float>(program::interpret(data_.score_mod, at).f);
    } catch (const InvalidArgument&) {
      return std::numeric_limits<float>::quiet_NaN();
    }
  }

  const TileBinding::Data& data_;
  std::optional<program::RowInterpreter> score_, mask_;
  std::vector<double> row_;
  std::vector<uint8_t> allowed_;
};

// The interpreters are not thread-safe, so each tile has its own.
void run_slowly(const void* context, bool apply_mask, int64_t b, int64_t h, int64_t q0,
                int64_t rows, int64_t kv0, int64_t cols, float* scores, int64_t ld) {
  SlowRow row(*static_cast<const TileBinding::Data*>(context), apply_mask);
  for (int64_t i = 0; i < rows; ++i) {
    const program::Inputs at{.b = b, .h = h, .q = q0 + i, .kv = kv0};
    row.run(at, std::span(scores + i * ld, static_cast<std::size_t>(cols)));
  }
}

// The backward part element by element. What has no value becomes NaN, as on the 32-bit path; an index
// that has none lies outside.
class SlowBackwardTile {
 public:
  SlowBackwardTile(const TileBinding::Data& data, const TileGradient* gradients)
      : joint_(*data.program.joint()),
        contributions_(data.program.contributions()),
        state_(joint_, data.score_mod),
        gradients_(gradients) {}

  float run(const program::Inputs& at) {
    try {
      state_.run(at);
    } catch (const InvalidArgument&) {
      // The mod's result has no value; what is asked for here may have one.
    }
    std::size_t number = 0;
    for (const auto* list : {&joint_.captures, &joint_.params}) {
      for (const auto& c : *list) contribute(c, number++, at);
    }
    return static_cast<float>(float_value(joint_.dscore));
  }

 private:
  using Contribution = program::JointProgram::Contribution;

  double float_value(program::NodeId id) const {
    try {
      return state_.value(id).f;
    } catch (const InvalidArgument&) {
      return std::numeric_limits<double>::quiet_NaN();
    }
  }

  void contribute(const Contribution& c, std::size_t number, const program::Inputs& at) {
    const TileGradient& to = gradients_[number];
    const double value = float_value(c.value);
    if (to.data == nullptr || value == 0) return;
    if (float* sum = find(c, contributions_[number].classes.index, to, at)) {
      *sum += static_cast<float>(value);
    }
  }

  float* find(const Contribution& c, analysis::IndexClass index, const TileGradient& to,
              const program::Inputs& at) const {
    switch (index) {
      case analysis::IndexClass::scalar: return to.data - to.first;
      case analysis::IndexClass::row: return to.data + (at.q - to.first);
      case analysis::IndexClass::column: return to.data + (at.kv - to.first);
      case analysis::IndexClass::diagonal: return to.data + (at.kv - at.q - to.first);
      case analysis::IndexClass::tile:
      case analysis::IndexClass::gathered: break;
    }
    int64_t offset = 0;
    for (std::size_t k = 0; k < c.index.size(); ++k) {
      int64_t position = -1;
      try {
        position = state_.value(c.index[k]).i;
      } catch (const InvalidArgument&) {
        return nullptr;
      }
      if (position < 0 || position >= to.sizes[k]) return nullptr;
      offset += position * to.strides[k];
    }
    return to.data + offset;
  }

  const program::JointProgram& joint_;
  std::span<const TileContribution> contributions_;
  program::JointState state_;
  const TileGradient* gradients_;
};

void run_backward_slowly(const void* context, int64_t b, int64_t h, int64_t q0, int64_t rows,
                         int64_t kv0, int64_t cols, const float* scores, int64_t pitch, float* dout,
                         int64_t ld, const TileGradient* gradients) {
  SlowBackwardTile tile(*static_cast<const TileBinding::Data*>(context), gradients);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      float& g = dout[i * ld + j];
      if (g == 0) continue;
      g = tile.run({.score = scores == nullptr ? 0.0 : static_cast<double>(scores[i * pitch + j]),
                    .b = b,
                    .h = h,
                    .q = q0 + i,
                    .kv = kv0 + j,
                    .dout = static_cast<double>(g)});
    }
  }
}

}  // namespace

TileBinding::TileBinding() : data_(std::make_shared<Data>()) {}
TileBinding::TileBinding(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

const TileArguments& TileBinding::arguments() const noexcept { return data_->arguments; }
const TileArguments& arguments_of(const TileBinding& binding) noexcept {
  return binding.arguments();
}

TileBinding bind(const TileProgram& program, const Program& score_mod, const Program& mask_mod,
                 bool needs_64_bits) {
  auto data = std::make_shared<TileBinding::Data>();
  for (const Program* mod : {&score_mod, &mask_mod}) {
    if (!*mod) continue;
    for (const Literal& value : mod->params()) {
      needs_64_bits = needs_64_bits || !fits_32_bits(value);
      data->params.push_back(bits_of(value));
    }
    for (const TensorView& tensor : mod->captures()) data->captures.push_back(capture_of(tensor));
  }
  const auto captures = static_cast<int32_t>(data->captures.size());
  const auto params = static_cast<int32_t>(data->params.size());
  if (captures != program.capture_count() || params != program.param_count()) {
    throw InternalError("[bind] the programs must be the lowered ones: expected " +
                        std::to_string(program.param_count()) + " parameters and " +
                        std::to_string(program.capture_count()) + " captures, got " +
                        std::to_string(params) + " and " + std::to_string(captures));
  }
  data->arguments.params = data->params.data();
  data->arguments.captures = data->captures.data();
  if (needs_64_bits && (!program.empty() || program.has_backward())) {
    data->program = program;
    data->score_mod = score_mod;
    data->mask_mod = mask_mod;
    data->arguments.slow = run_slowly;
    data->arguments.slow_backward = run_backward_slowly;
    data->arguments.slow_context = data.get();
  }
  return TileBinding(std::move(data));
}

}  // namespace fovea::cpu
