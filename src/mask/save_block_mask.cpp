// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>
#include <map>
#include <string>

#include <fovea/block_mask_file.h>
#include "core/fail.h"
#include "core/hash.h"
#include "mask/block_mask_data.h"
#include "mask/block_mask_format.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "save_block_mask";

// Appends the elements row-major, a repeated dimension once.
void write_elements(const TensorView& tensor, const Dims& stored, mask::ByteWriter& out) {
  const std::size_t size = size_of(tensor.dtype);
  const auto* data = static_cast<const std::byte*>(tensor.data);
  Dims at = stored;
  for (int i = 0; i < at.rank(); ++i) at[i] = 0;
  std::array<std::byte, 8> element;
  while (true) {
    int64_t offset = 0;
    for (int i = 0; i < at.rank(); ++i) offset += at[i] * tensor.stride(i);
    std::memcpy(element.data(), data + offset * static_cast<int64_t>(size), size);
    mask::swap_if_big(std::span(element).first(size), size);
    out.raw(std::span(element).first(size));
    int i = at.rank() - 1;
    while (i >= 0 && ++at[i] == stored[i]) at[i--] = 0;
    if (i < 0) return;
  }
}

void write_capture(const TensorView& tensor, std::size_t slot, mask::ByteWriter& out) {
  const auto fail = [slot](const char* rule, const char* expected, const char* got) {
    core::fail_argument(kWhere, "captured tensor t" + std::to_string(slot) + rule, expected, got);
  };
  if (tensor.device.type != DeviceType::cpu) fail(" must be on the cpu", "cpu", "cuda");
  if (tensor.data == nullptr && tensor.numel() > 0) fail(" must have memory", "a pointer", "null");
  out.number(static_cast<uint8_t>(tensor.dtype));
  out.number(static_cast<uint8_t>(tensor.rank()));
  Dims stored = tensor.sizes;
  for (int i = 0; i < tensor.rank(); ++i) {
    if (tensor.stride(i) == 0) stored[i] = std::min<int64_t>(tensor.size(i), 1);
    out.number(tensor.size(i));
    out.number(static_cast<uint8_t>(tensor.stride(i) == 0));
  }
  if (tensor.numel() > 0) write_elements(tensor, stored, out);
}

void write_program(const Program& mod, mask::ByteWriter& out) {
  const std::string text = mod ? mod.to_string() : std::string();
  out.number(static_cast<uint64_t>(text.size()));
  out.raw(std::as_bytes(std::span(text)));
  if (!mod) return;
  out.number(static_cast<uint64_t>(mod.captures().size()));
  for (std::size_t i = 0; i < mod.captures().size(); ++i) {
    write_capture(mod.captures()[i], i, out);
  }
}

void write_lists(const mask::RunLists& lists, mask::ByteWriter& out) {
  const auto lines = static_cast<int64_t>(lists.offsets.size()) - 1;
  for (int64_t line = 0; line < lines; ++line) {
    const auto runs = lists.line(line);
    out.number(static_cast<uint32_t>(runs.size()));
    for (const BlockRun& run : runs) {
      out.number(run.begin);
      out.number(run.end);
    }
  }
}

std::vector<std::byte> payload_of(const BlockMask::Data& data) {
  mask::ByteWriter out;
  for (const int64_t number : {data.q_len, data.kv_len, data.block_size.q, data.block_size.kv}) {
    out.number(number);
  }
  out.number(static_cast<uint8_t>(data.listing));
  write_program(data.mask_mod, out);

  std::map<const mask::Plane*, uint64_t> numbers;
  std::vector<const mask::Plane*> distinct;
  out.number(static_cast<uint64_t>(data.batch));
  out.number(static_cast<uint64_t>(data.heads));
  for (const auto& plane : data.planes) {
    const auto [entry, is_new] = numbers.emplace(plane.get(), distinct.size());
    if (is_new) distinct.push_back(plane.get());
    out.number(entry->second);
  }
  for (const mask::Plane* plane : distinct) {
    write_lists(data.full(*plane), out);
    write_lists(data.partial(*plane), out);
  }
  return out.finish();
}

}  // namespace

std::vector<std::byte> save_block_mask(const BlockMask& mask) {
  const std::vector<std::byte> payload = payload_of(mask::data_of(mask, kWhere));
  const Hash128 checksum = core::hash_bytes(payload.data(), payload.size());
  mask::ByteWriter out;
  out.raw(std::as_bytes(std::span(mask::kFileMagic)));
  out.number(mask::kFileVersion);
  out.number(uint32_t{0});
  out.number(static_cast<uint64_t>(payload.size()));
  out.number(checksum.low);
  out.number(checksum.high);
  out.raw(payload);
  return out.finish();
}

void save_block_mask(const BlockMask& mask, const std::filesystem::path& file) {
  const std::vector<std::byte> bytes = save_block_mask(mask);
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  core::require(static_cast<bool>(out), kWhere, "file must be writable",
                "a path that can be written", file.string());
}

}  // namespace fovea
