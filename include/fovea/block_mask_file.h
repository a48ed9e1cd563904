// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <fovea/block_mask.h>
#include <fovea/export.h>

/// Block masks as bytes, in memory or in a file: lists, program and the data of captured tensors, under
/// a version and a checksum. docs/block-mask.md is the format.
namespace fovea {

/// All that the mask needs, captured tensors included: whole, as they are now. InvalidArgument if one is not
/// on the CPU or has no memory.
FOVEA_API std::vector<std::byte> save_block_mask(const BlockMask& mask);
/// The same into a file, which is replaced. InvalidArgument if it cannot be written.
FOVEA_API void save_block_mask(const BlockMask& mask, const std::filesystem::path& file);

struct LoadOptions {
  int64_t max_bytes = kMostBytes;  ///< memory that the lists of the mask may take
};

/// The mask that was saved. It owns its captured tensors, together with every mask made from it; a copy of
/// its mask_mod alone does not. Nothing in the bytes is trusted: InvalidArgument, with what and where, if
/// they are damaged, cut short, of another version, or make no mask.
FOVEA_API BlockMask load_block_mask(std::span<const std::byte> bytes,
                                    const LoadOptions& options = {});
FOVEA_API BlockMask load_block_mask(const std::filesystem::path& file,
                                    const LoadOptions& options = {});

}  // namespace fovea
