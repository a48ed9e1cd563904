// SPDX-License-Identifier: Apache-2.0
#include <fovea/merge.h>
#include "attention/merge.h"

namespace fovea {

void merge_attention(std::span<const PartialAttention> parts, const TensorView& out,
                     const MergeOptions& options) {
  attention::check_merge(parts, out, options);
  attention::merge(parts, out, options,
                   options.executor != nullptr ? *options.executor : default_executor());
}

}  // namespace fovea
