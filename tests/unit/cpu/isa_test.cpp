// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "cpu/attention/kernels.h"
#include "cpu/fma_peak.h"

namespace fovea::cpu {
namespace {

TEST(Isa, UsableOnesAreBuilt) {
  const auto usable = usable_isas();
  ASSERT_FALSE(usable.empty());
  for (const Isa isa : usable) {
    EXPECT_TRUE(is_built(isa) && is_usable(isa)) << name_of(isa);
    EXPECT_EQ(choose_isa(name_of(isa)), isa);
  }
  EXPECT_EQ(choose_isa(""), usable.back());
  EXPECT_TRUE(std::is_sorted(usable.begin(), usable.end()));
}

TEST(Isa, NamesAreThoseOfTheEnvironmentVariable) {
  EXPECT_STREQ(name_of(Isa::baseline), "baseline");
  EXPECT_STREQ(name_of(Isa::avx2), "avx2");
  EXPECT_STREQ(name_of(Isa::avx512), "avx512");
  EXPECT_STREQ(name_of(Isa::avx512_bf16), "avx512_bf16");
  EXPECT_STREQ(name_of(Isa::neon), "neon");
}

TEST(Isa, EachHasItsOwnKernels) {
  int lanes = 0;
  for (const Isa isa : usable_isas()) {
    const AttentionKernels& kernels = attention_kernels(isa);
    EXPECT_GE(kernels.lanes, lanes) << name_of(isa);
    EXPECT_EQ(kernels.block_columns % kernels.lanes, 0);
    EXPECT_EQ(kPackStep % kernels.block_columns, 0);
    EXPECT_EQ(&kernels, &attention_kernels(isa));
    EXPECT_EQ(fma_loop(isa).flops_per_step % (2 * kernels.lanes), 0);
    lanes = kernels.lanes;
  }
}

TEST(FmaPeak, IsPositive) {
  for (const Isa isa : usable_isas()) {
    const double one = measure_fma_peak(1, isa);
    EXPECT_GT(one, 0) << name_of(isa);
    EXPECT_LT(one, 1e13) << name_of(isa);
  }
  EXPECT_GT(measure_fma_peak(2, usable_isas().back()), 0);
}

}  // namespace
}  // namespace fovea::cpu
