// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/kernels.h"

#include "cpu/isa.h"

namespace fovea::cpu {

#define FOVEA_EACH(name)                           \
  namespace name {                                 \
  extern const AttentionKernels kAttentionKernels; \
  }
FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH

const AttentionKernels& attention_kernels(Isa isa) {
#define FOVEA_EACH(name) \
  if (isa == Isa::name) return name::kAttentionKernels;
  FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH
  fail_not_built("attention_kernels", isa);
}

}  // namespace fovea::cpu
