// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <fovea/export.h>

/// The environment variables that fovea reads.
namespace fovea {

struct ConfigEntry {
  std::string name;
  std::string value;  ///< as set; empty if it is not
  std::string default_value;
  std::string meaning;
};

/// One entry for each variable.
FOVEA_API std::vector<ConfigEntry> config();

}  // namespace fovea
