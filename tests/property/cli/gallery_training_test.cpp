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

INSTANTIATE_TEST_SUITE_P(Variants, GalleryTraining, testing::ValuesIn(variant_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace fovea::gallery
