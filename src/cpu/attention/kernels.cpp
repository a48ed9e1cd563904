// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/kernels.h"

#include "cpu/attention/backward_kernels.h"
#include "cpu/isa.h"

namespace fovea::cpu {

#define FOVEA_EACH(name)                           \
  namespace name {                                 \
  extern const AttentionKernels kAttentionKernels; \
  extern const BackwardKernels kBackwardKernels;   \
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

const BackwardKernels& backward_kernels(Isa isa) {
#define FOVEA_EACH(name) \
  if (isa == Isa::name) return name::kBackwardKernels;
  FOVEA_FOR_EACH_BUILT_ISA(FOVEA_EACH)
#undef FOVEA_EACH
  fail_not_built("backward_kernels", isa);
}

}  // namespace fovea::cpu
