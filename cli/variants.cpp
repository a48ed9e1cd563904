// SPDX-License-Identifier: Apache-2.0
#include "variants.h"

#include <fovea/error.h>
#include "usage_error.h"

namespace fovea::cli {

Variant make_variant(std::string_view name, const Shape& shape) {
  try {
    return gallery::make_variant(name, shape);
  } catch (const InvalidArgument& error) {
    throw UsageError(error.what());
  }
}

}  // namespace fovea::cli
