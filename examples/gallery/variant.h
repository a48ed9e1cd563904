// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fovea/program.h>
#include <fovea/vector.h>

/// The gallery: attention variants as ordinary lambdas, one a file, each next to the same formula in plain
/// C++ that tests and demo compare it with. The command line tool draws and runs them by name.
namespace fovea::gallery {

/// What a variant is made for. Parameters that are not given scale with the lengths.
struct Shape {
  int64_t q_len = 4096;
  int64_t kv_len = 4096;
  int64_t heads = 4;
  std::vector<int32_t> documents = {};  ///< document of each token; empty: twelve uneven ones
  std::map<std::string, double> parameters = {};
  int64_t batch = 1;
};

/// A query: batch, head, position.
struct Row {
  int64_t b = 0, h = 0, q = 0;
};

/// Turns a row of scores into what the variant makes of it, hidden ones into -inf. Without fovea.
using RowMod = std::function<void(std::span<float> scores, const Row& row)>;

struct Parameter {
  std::string name;
  double value = 0;
};

/// The memory behind the captured tensors.
struct Tables {
  std::deque<std::vector<float>> floats;
  std::deque<std::vector<int32_t>> ints;
  std::deque<std::vector<uint8_t>> flags;
};

struct Variant {
  std::string name;
  std::string description;
  std::string formula;
  std::string source;
  std::vector<Parameter> parameters = {};
  Program score_mod = {};  ///< may be empty
  Program mask_mod = {};   ///< may be empty
  RowMod plain = {};
  std::shared_ptr<const Tables> tables = {};
};

std::vector<std::string> variant_names();

/// InvalidArgument if there is no such variant, if it does not have one of the parameters, or if its
/// tables would not fit the lengths.
Variant make_variant(std::string_view name, const Shape& shape);

inline constexpr float kHidden = -std::numeric_limits<float>::infinity();

/// What the files of the gallery put a variant together with.
class VariantMaker {
 public:
  VariantMaker(std::string name, const Shape& shape);

  const Shape& shape() const noexcept { return shape_; }
  int64_t heads() const noexcept { return shape_.heads; }
  int64_t batch() const noexcept { return shape_.batch; }
  int64_t length() const noexcept;  ///< the longer of the two, at least 1

  void describe(std::string description, std::string formula, std::string source);

  /// A parameter: as given, else the default.
  double number(const std::string& name, double default_value);
  int64_t whole(const std::string& name, int64_t default_value);  ///< at least 1

  /// Tables that live as long as the variant.
  const std::vector<float>& keep(std::vector<float> values);
  const std::vector<int32_t>& keep(std::vector<int32_t> values);
  const std::vector<uint8_t>& keep(std::vector<uint8_t> values);
  /// n standard normal numbers, the same ones for the same seed, kept.
  const std::vector<float>& normal(uint64_t seed, int64_t n);
  /// InvalidArgument if a table of so many entries is too large (2^27).
  void check_entries(int64_t entries) const;

  /// The mod, and the same in plain C++: plain(score, row, kv) -> score.
  template <class F, class G>
  void score(F&& mod, G plain) {
    variant_.score_mod = score_mod(std::forward<F>(mod));
    plain_score_ = [plain](std::span<float> scores, const Row& row) {
      for (std::size_t kv = 0; kv < scores.size(); ++kv)
        scores[kv] = plain(scores[kv], row, static_cast<int64_t>(kv));
    };
  }
  /// The mod (a lambda or a Program), and the same in plain C++: plain(row, kv) -> bool.
  template <class F, class G>
  void mask(F&& mod, G plain) {
    if constexpr (std::is_same_v<std::remove_cvref_t<F>, Program>) {
      variant_.mask_mod = std::forward<F>(mod);
    } else {
      variant_.mask_mod = mask_mod(std::forward<F>(mod));
    }
    plain_mask_ = [plain](std::span<float> scores, const Row& row) {
      for (std::size_t kv = 0; kv < scores.size(); ++kv)
        if (!plain(row, static_cast<int64_t>(kv))) scores[kv] = kHidden;
    };
  }

  Variant finish();

 private:
  const Shape& shape_;
  Variant variant_;
  RowMod plain_score_, plain_mask_;
  std::shared_ptr<Tables> tables_ = std::make_shared<Tables>();
};

/// Views of kept tables, to be captured. Bytes are bools.
template <class T>
Capture table(const std::vector<T>& values, const Dims& sizes) {
  TensorView tensor = view(values.data(), sizes);
  if constexpr (std::is_same_v<T, uint8_t>) tensor.dtype = DType::boolean;
  return capture(tensor);
}
template <class T>
Capture table(const std::vector<T>& values) {
  return table(values, {static_cast<int64_t>(values.size())});
}

/// Element of a kept table, in the plain forms.
template <class T>
T at(const std::vector<T>& values, int64_t i) {
  return values[static_cast<std::size_t>(i)];
}

/// Document of each token: as the shape gives them, else twelve whose lengths differ by up to three times.
std::vector<int32_t> document_ids(const VariantMaker& make);
/// Where each document begins, and the end of the last: one entry more than there are documents.
std::vector<int32_t> document_starts(const std::vector<int32_t>& ids);

/// An image in row order, about square, for variants over pixels.
struct Canvas {
  int64_t width, height;
};
Canvas canvas_of(VariantMaker& make);

}  // namespace fovea::gallery
