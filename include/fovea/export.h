// SPDX-License-Identifier: Apache-2.0
#pragma once

/// FOVEA_API marks what the library exports; everything else stays hidden, so that two libraries
/// with their own copy of fovea can live in one process.
#if defined(FOVEA_SHARED) && defined(_WIN32)
#if defined(FOVEA_BUILDING)
#define FOVEA_API __declspec(dllexport)
#else
#define FOVEA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define FOVEA_API __attribute__((visibility("default")))
#else
#define FOVEA_API
#endif
