// SPDX-License-Identifier: Apache-2.0
// Any bytes: load_block_mask either throws InvalidArgument or gives a mask that can be looked at, cut,
// turned, and saved and loaded again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include <fovea/block_mask_file.h>
#include <fovea/error.h>
#include "core/hash.h"
#include "mask/block_mask_format.h"

namespace {

using Bytes = std::vector<std::byte>;

constexpr int64_t kMemory = int64_t{1} << 24;

// Assertions of this file: a crash is what a fuzzer reports.
void require(bool ok) {
  if (!ok) std::abort();
}

// The bytes under a header with the right size and checksum, or else few would get past it.
Bytes with_header(std::span<const std::byte> payload) {
  const fovea::Hash128 checksum = fovea::core::hash_bytes(payload.data(), payload.size());
  fovea::mask::ByteWriter out;
  out.raw(std::as_bytes(std::span(fovea::mask::kFileMagic)));
  out.number(fovea::mask::kFileVersion);
  out.number(uint32_t{0});
  out.number(static_cast<uint64_t>(payload.size()));
  out.number(checksum.low);
  out.number(checksum.high);
  out.raw(payload);
  return out.finish();
}

template <class F>
void allow_refusal(F&& call) {
  try {
    call();
  } catch (const fovea::InvalidArgument&) {
  }
}

void use(const fovea::BlockMask& mask) {
  const fovea::BlockCounts counts = mask.counts();
  require(counts.full >= 0 && counts.partial >= 0 && counts.skipped >= 0);
  const Bytes bytes = save_block_mask(mask);
  require(save_block_mask(fovea::load_block_mask(bytes)) == bytes);
  allow_refusal([&] { (void)mask.padded_lists(kMemory); });
  allow_refusal([&] { (void)mask.to_dense(kMemory); });
  allow_refusal([&] { (void)mask.to_string(); });
  allow_refusal([&] { (void)mask.index(-1, 0, fovea::BlockIndex::slice(0, 2)); });
  allow_refusal([&] { (void)mask.decode_slice(mask.q_len() / 2).transposed(); });
}

void load(std::span<const std::byte> bytes) {
  fovea::BlockMask mask;
  try {
    mask = fovea::load_block_mask(bytes, {.max_bytes = kMemory});
  } catch (const fovea::InvalidArgument&) {
    return;
  }
  use(mask);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  load(bytes);
  const bool has_header = size >= fovea::mask::kFileHeader && data[0] == 'F';
  load(with_header(has_header ? bytes.subspan(fovea::mask::kFileHeader) : bytes));
  return 0;
}
