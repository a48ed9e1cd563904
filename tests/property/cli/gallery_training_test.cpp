// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <fovea/fovea.h>
#include "gallery/variant.h"
#include "training_call.h"
#include "usable_isas.h"

// Every variant of the gallery, forward and backward, against the dense reference: in float64 to its
// last digits, and in fp32 with every instruction set.
namespace fovea::gallery {
namespace {

using test::Gradients;
using test::TrainingCall;

const test::Engine kOwn{flex_attention, flex_attention_backward};
const test::Engine kDense{reference_attention, reference_backward};

struct Lengths {
  int64_t q, kv;
};

template <class T>
void apply(const Variant& variant, TrainingCall<T>& call) {
  call.options.score_mod = variant.score_mod;
  if (!variant.mask_mod) return;
  call.options.block_mask =
      create_block_mask(variant.mask_mod, {.q_len = call.s.q_len,
                                           .kv_len = call.s.kv_len,
                                           .batch = call.s.batch,
                                           .heads = call.s.q_heads,
                                           .block_size = {.q = 16, .kv = 32}});
}

template <class T>
Gradients<T> outputs_of(const TrainingCall<T>& call, const test::Engine& engine) {
  call.run_forward(engine);
  Gradients<T> result;
  const auto copy = [](const TensorView& tensor, std::vector<T>& to) {
    const T* data = static_cast<const T*>(tensor.data);
    to.assign(data, data + tensor.numel());
  };
  copy(call.saved.out, result.query);
  copy(call.saved.lse, result.key);
  return result;
}

class GalleryTraining : public testing::TestWithParam<std::string> {
 protected:
  static Variant variant(const Lengths& lengths) {
    Shape shape{.q_len = lengths.q, .kv_len = lengths.kv, .heads = 4};
    shape.batch = 2;
    return make_variant(GetParam(), shape);
  }
  static test::TrainingSizes sizes(const Lengths& lengths) {
    return {.batch = 2,
            .q_heads = 4,
            .kv_heads = 2,
            .q_len = lengths.q,
            .kv_len = lengths.kv,
            .head_dim = 5,
            .value_dim = 3};
  }
};

TEST_P(GalleryTraining, Float64EqualsTheReference) {
  for (const Lengths& lengths : {Lengths{1, 1}, Lengths{37, 37}, Lengths{20, 53}}) {
    SCOPED_TRACE(std::to_string(lengths.q) + " x " + std::to_string(lengths.kv));
    const Variant made = variant(lengths);
    TrainingCall<double> call(sizes(lengths));
    apply(made, call);
    const auto expected = outputs_of(call, kDense);
    EXPECT_TRUE(test::are_near(outputs_of(call, kOwn), expected, 1e-12));
    EXPECT_TRUE(test::are_near(call.run_backward(kOwn), call.run_backward(kDense), 1e-11));
  }
}

TEST_P(GalleryTraining, Float32EqualsTheReference) {
  const auto isas = test::usable_isas();
  ASSERT_FALSE(isas.empty());
  for (const Lengths& lengths : {Lengths{1, 1}, Lengths{70, 70}, Lengths{20, 53}}) {
    const Variant made = variant(lengths);
    TrainingCall<float> call(sizes(lengths));
    apply(made, call);
    const auto expected = call.run_backward(kDense);
    for (const std::string& isa : isas) {
      SCOPED_TRACE(isa + ", " + std::to_string(lengths.q) + " x " + std::to_string(lengths.kv));
      const Environment environment("FOVEA_ISA", isa);
      call.run_forward(kOwn);
      EXPECT_TRUE(test::are_near(call.run_backward(kOwn), expected, 1e-5));
    }
  }
}

// Tensors of 16 bits, as they are or of zeros.
template <class Half>
class Halves {
 public:
  explicit Halves(const TensorView& like, bool copied = true)
      : data_(static_cast<std::size_t>(like.numel())), sizes_(like.sizes) {
    const float* from = static_cast<const float*>(like.data);
    for (std::size_t i = 0; copied && i < data_.size(); ++i) data_[i] = Half(from[i]);
  }
  TensorView view() { return fovea::view(data_.data(), sizes_); }
  std::vector<float> floats() const {
    std::vector<float> result;
    for (const Half& x : data_) result.push_back(static_cast<float>(x));
    return result;
  }

 private:
  std::vector<Half> data_;
  Dims sizes_;
};

template <class Half>
Gradients<float> low_precision(const TrainingCall<float>& call, const test::Engine& engine) {
  Halves<Half> query(call.query), key(call.key), value(call.value), dout(call.saved.dout);
  Halves<Half> out(call.saved.out, false), dquery(call.query, false), dkey(call.key, false),
      dvalue(call.value, false);
  FlexOptions options = call.options;
  options.lse = call.saved.lse;
  engine.forward(query.view(), key.view(), value.view(), out.view(), options);
  const BackwardInputs saved{.out = out.view(), .lse = call.saved.lse, .dout = dout.view()};
  const FlexGradients wanted{.query = dquery.view(), .key = dkey.view(), .value = dvalue.view()};
  engine.backward(query.view(), key.view(), value.view(), saved, wanted, call.options);
  Gradients<float> result;
  result.query = dquery.floats();
  result.key = dkey.floats();
  result.value = dvalue.floats();
  result.sinks = out.floats();  // in the room of what is not here
  return result;
}

// out is saved in 16 bits, and the gradients are made from it: a few of its last places.
TEST_P(GalleryTraining, SixteenBitsEqualTheReference) {
  const Variant made = variant({45, 45});
  TrainingCall<float> call(sizes({45, 45}));
  apply(made, call);
  for (const std::string& isa : test::usable_isas()) {
    SCOPED_TRACE(isa);
    const Environment environment("FOVEA_ISA", isa);
    EXPECT_TRUE(test::are_near(low_precision<BFloat16>(call, kOwn),
                               low_precision<BFloat16>(call, kDense), 0x1p-6));
    EXPECT_TRUE(test::are_near(low_precision<Float16>(call, kOwn),
                               low_precision<Float16>(call, kDense), 0x1p-9));
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, GalleryTraining, testing::ValuesIn(variant_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace fovea::gallery
