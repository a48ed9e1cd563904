// SPDX-License-Identifier: Apache-2.0
#include "attention/blame.h"

#include <string>
#include <string_view>

namespace fovea::attention {

void rethrow_in_name(const char* where, const char* mod, const InvalidArgument& error) {
  std::string_view text = error.what();
  const std::size_t end = text.find("] ");
  if (text.starts_with("[") && end != std::string_view::npos) text.remove_prefix(end + 2);
  throw InvalidArgument(std::string("[") + where + "] " + mod + ": " + std::string(text));
}

}  // namespace fovea::attention
