// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include <fovea/hash.h>

/// A 128-bit content hash for cache keys: stable across machines and builds, not cryptographic.
namespace fovea::core {

Hash128 hash_bytes(const void* data, std::size_t size) noexcept;

}  // namespace fovea::core
