// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <fovea/error.h>
#include "cpu/attention/kernels.h"
#include "cpu/fma_peak.h"

namespace fovea::cpu {
namespace {

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

std::string usable_names() {
  std::string names;
  for (const Isa isa : usable_isas())
    names += (names.empty() ? "" : ", ") + std::string(name_of(isa));
  return names;
}

TEST(IsaError, UnknownName) {
  EXPECT_THROW(choose_isa("sse9"), InvalidArgument);
  EXPECT_EQ(
      message_of([] { choose_isa("sse9"); }),
      "[FOVEA_ISA] instruction set must be usable here: expected " + usable_names() + ", got sse9");
}

TEST(IsaError, NotUsableHere) {
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::neon}) {
    if (is_usable(isa)) continue;
    const std::string why = is_built(isa) ? " (not on this machine)" : " (not in this build)";
    EXPECT_EQ(message_of([&] { choose_isa(name_of(isa)); }),
              "[FOVEA_ISA] instruction set must be usable here: expected " + usable_names() +
                  ", got " + name_of(isa) + why);
  }
}

TEST(IsaError, FromTheEnvironment) {
  ::setenv("FOVEA_ISA", "altivec", 1);
  EXPECT_THROW(isa_in_force(), InvalidArgument);
  ::setenv("FOVEA_ISA", name_of(usable_isas().front()), 1);
  EXPECT_EQ(isa_in_force(), usable_isas().front());
  ::unsetenv("FOVEA_ISA");
  EXPECT_EQ(isa_in_force(), usable_isas().back());
}

TEST(IsaError, KernelsThatAreNotBuilt) {
  for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::neon}) {
    if (is_built(isa)) continue;
    EXPECT_THROW(attention_kernels(isa), InternalError);
    EXPECT_THROW(fma_loop(isa), InternalError);
  }
}

TEST(IsaError, FmaPeakNeedsThreads) {
  EXPECT_EQ(message_of([] { measure_fma_peak(0, usable_isas().front()); }),
            "[measure_fma_peak] threads must be positive: expected 1 or more, got 0");
}

}  // namespace
}  // namespace fovea::cpu
