// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa.h"

#include <fovea/error.h>
#include "core/config.h"
#include "core/fail.h"

namespace fovea::cpu {
namespace {

constexpr Isa kAll[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::neon};

#if defined(__x86_64__)
bool machine_has(Isa isa) noexcept {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::baseline: return true;
    case Isa::avx2: return avx2;
    case Isa::avx512: return avx512;
    case Isa::avx512_bf16: return avx512 && __builtin_cpu_supports("avx512bf16");
    case Isa::neon: return false;
  }
  return false;
}
#elif defined(__aarch64__)
bool machine_has(Isa isa) noexcept { return isa == Isa::baseline || isa == Isa::neon; }
#else
bool machine_has(Isa isa) noexcept { return isa == Isa::baseline; }
#endif

}  // namespace

const char* name_of(Isa isa) noexcept {
  switch (isa) {
    case Isa::baseline: return "baseline";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::avx512_bf16: return "avx512_bf16";
    case Isa::neon: return "neon";
  }
  return "?";
}

bool is_built(Isa isa) noexcept {
#define FOVEA_EACH(name) \
  if (isa == Isa::name) return true;
  FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH
  return false;
}

bool is_usable(Isa isa) noexcept { return is_built(isa) && machine_has(isa); }

std::vector<Isa> usable_isas() {
  std::vector<Isa> usable;
  for (const Isa isa : kAll) {
    if (is_usable(isa)) usable.push_back(isa);
  }
  return usable;
}

Isa choose_isa(const std::string& name) {
  const std::vector<Isa> usable = usable_isas();
  if (name.empty()) return usable.back();
  std::string names;
  for (const Isa isa : usable) {
    if (name == name_of(isa)) return isa;
    names += names.empty() ? "" : ", ";
    names += name_of(isa);
  }
  std::string got = name;
  for (const Isa isa : kAll) {
    if (name == name_of(isa))
      got += is_built(isa) ? " (not on this machine)" : " (not in this build)";
  }
  core::fail_argument("FOVEA_ISA", "instruction set must be usable here", names, got);
}

Isa isa_in_force() { return choose_isa(core::isa()); }

void fail_not_built(const char* where, Isa isa) {
  throw InternalError(std::string("[") + where + "] instruction set must be built in: got " +
                      name_of(isa));
}

}  // namespace fovea::cpu
