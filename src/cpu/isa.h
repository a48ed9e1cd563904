// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// FOVEA_FOR_EACH_BUILT_ISA(X): X(avx2) and so on, for each instruction set that the library holds kernels
// for. The build defines FOVEA_HAVE_ISA_*.
#if defined(FOVEA_HAVE_ISA_BASELINE)
#define FOVEA_IF_BASELINE(X) X(baseline)
#else
#define FOVEA_IF_BASELINE(X)
#endif
#if defined(FOVEA_HAVE_ISA_AVX2)
#define FOVEA_IF_AVX2(X) X(avx2)
#else
#define FOVEA_IF_AVX2(X)
#endif
#if defined(FOVEA_HAVE_ISA_AVX512)
#define FOVEA_IF_AVX512(X) X(avx512)
#else
#define FOVEA_IF_AVX512(X)
#endif
#if defined(FOVEA_HAVE_ISA_AVX512_BF16)
#define FOVEA_IF_AVX512_BF16(X) X(avx512_bf16)
#else
#define FOVEA_IF_AVX512_BF16(X)
#endif
#if defined(FOVEA_HAVE_ISA_NEON)
#define FOVEA_IF_NEON(X) X(neon)
#else
#define FOVEA_IF_NEON(X)
#endif
#define FOVEA_FOR_EACH_BUILT_ISA(X) \
  FOVEA_IF_BASELINE(X) FOVEA_IF_AVX2(X) FOVEA_IF_AVX512(X) FOVEA_IF_AVX512_BF16(X) FOVEA_IF_NEON(X)

/// The instruction sets that kernels are built for, and which of them this machine runs.
namespace fovea::cpu {

enum class Isa : uint8_t { baseline, avx2, avx512, avx512_bf16, neon };

const char* name_of(Isa isa) noexcept;

bool is_built(Isa isa) noexcept;   // the library holds kernels for it
bool is_usable(Isa isa) noexcept;  // built, and this machine (with its operating system) runs it
std::vector<Isa> usable_isas();    // narrowest first, never empty

/// The one that calls use: the widest usable one, or the one that FOVEA_ISA names. InvalidArgument if
/// FOVEA_ISA names none, or one that the library or the machine lacks.
Isa isa_in_force();

/// The same for a name; empty: the widest.
Isa choose_isa(const std::string& name);

[[noreturn]] void fail_not_built(const char* where, Isa isa);  // InternalError

}  // namespace fovea::cpu
