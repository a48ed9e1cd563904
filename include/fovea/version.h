// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The one place that states the version; CMake and the packages read it from here.
#define FOVEA_VERSION_MAJOR 0
#define FOVEA_VERSION_MINOR 1
#define FOVEA_VERSION_PATCH 0
#define FOVEA_VERSION_STRING "0.1.0"
