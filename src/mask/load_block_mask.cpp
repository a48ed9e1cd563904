// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include <fovea/block_mask_file.h>
#include "core/fail.h"
#include "core/hash.h"
#include "mask/block_mask_data.h"
#include "mask/block_mask_format.h"
#include "mask/line_lists.h"

namespace fovea {
namespace {

constexpr const char* kWhere = "load_block_mask";
constexpr int64_t kMostElements = int64_t{1} << 62;

using mask::ByteReader;

/// What follows the header, from front to back. Nothing is allocated before the bytes that ask for it are known to
/// be there, or the memory to be allowed.
class PayloadReader {
 public:
  PayloadReader(std::span<const std::byte> file, int64_t max_bytes)
      : in_(file, mask::kFileHeader, kWhere),
        left_bytes_(max_bytes),
        data_(std::make_shared<BlockMask::Data>()) {}

  BlockMask read() {
    read_shape();
    read_program();
    read_planes();
    if (in_.left() != 0) {
      in_.fail_at(in_.position(), "end of the mask", "no more bytes", std::to_string(in_.left()));
    }
    data_->count_blocks();
    return BlockMask(std::move(data_));
  }

 private:
  void read_shape() {
    const auto q_len = in_.number_in<int64_t>("q_len", 0, mask::kMostLength);
    const auto kv_len = in_.number_in<int64_t>("kv_len", 0, mask::kMostLength);
    data_->block_size.q = in_.number_in<int64_t>("block_size.q", 1, mask::kMostLength);
    data_->block_size.kv = in_.number_in<int64_t>("block_size.kv", 1, mask::kMostLength);
    data_->set_lengths(q_len, kv_len);
    mask::check_blocks(kWhere, "q", q_len, data_->block_size.q);
    mask::check_blocks(kWhere, "kv", kv_len, data_->block_size.kv);
    data_->listing = static_cast<mask::Listing>(
        in_.number_in<uint8_t>("kind of lists", 0, static_cast<uint8_t>(mask::Listing::own)));
  }

  void read_program() {
    const std::size_t place = in_.position();
    const auto size = static_cast<std::size_t>(in_.count("length of the program", 1));
    if (size == 0) {
      if (data_->listing == mask::Listing::own) return;
      in_.fail_at(place, "program of a mask whose lists do not decide", "a mask_mod", "none");
    }
    const auto bytes = in_.raw(size, "program");
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto count = static_cast<std::size_t>(in_.count("captured tensors", 2));
    std::vector<TensorView> captures;
    for (std::size_t i = 0; i < count; ++i) captures.push_back(read_capture());
    Program mod;
    try {
      mod = parse_program(text, captures);
    } catch (const InvalidArgument& error) {
      in_.fail_at(place, "program", "the text of a mask_mod",
                  std::string("'") + error.what() + "'");
    }
    if (mod.kind() != ModKind::mask) in_.fail_at(place, "program", "a mask_mod", "a score_mod");
    if (mod.captures().size() != count) {
      in_.fail_at(place, "captured tensors of the program", std::to_string(mod.captures().size()),
                  std::to_string(count));
    }
    data_->set_mask_mod(std::move(mod));
  }

  TensorView read_capture() {
    TensorView tensor;
    tensor.dtype = static_cast<DType>(
        in_.number_in<uint8_t>("dtype", 0, static_cast<uint8_t>(DType::boolean)));
    const auto rank = in_.number_in<uint8_t>("rank", 0, kMaxRank);
    const std::size_t place = in_.position();
    std::array<int64_t, kMaxRank> sizes{}, strides{};
    int64_t all = 1, stored = 1;
    bool overflows = false;
    for (std::size_t i = 0; i < rank; ++i) {
      sizes[i] = in_.number_in<int64_t>("size", 0, kMostElements);
      strides[i] = in_.number_in<uint8_t>("repeated", 0, 1) != 0 ? 0 : 1;
      overflows |= __builtin_mul_overflow(all, std::max<int64_t>(sizes[i], 1), &all);
      if (strides[i] != 0) overflows |= __builtin_mul_overflow(stored, sizes[i], &stored);
      if (sizes[i] == 0) stored = 0;
    }
    if (overflows || all > kMostElements) {
      in_.fail_at(place, "elements of a captured tensor", "at most 2^62", "more");
    }
    int64_t step = 1;
    for (std::size_t i = rank; i-- > 0;) {
      if (strides[i] == 0) continue;
      strides[i] = step;
      step *= std::max<int64_t>(sizes[i], 1);
    }
    tensor.sizes = Dims(std::span(sizes.data(), rank));
    tensor.strides = Dims(std::span(strides.data(), rank));
    tensor.data = read_elements(static_cast<uint64_t>(stored), size_of(tensor.dtype));
    return tensor;
  }

  // Memory of the mask's own: aligned for every dtype, and there even for no elements.
  void* read_elements(uint64_t count, std::size_t size) {
    if (count > in_.left() / size) {
      in_.fail_at(in_.position(), "captured tensor", std::to_string(count) + " elements",
                  "bytes of " + std::to_string(in_.left() / size) + " (cut short)");
    }
    const auto bytes = in_.raw(static_cast<std::size_t>(count) * size, "captured tensor");
    auto memory = std::make_shared<std::vector<double>>(bytes.size() / sizeof(double) + 1);
    const std::span elements(reinterpret_cast<std::byte*>(memory->data()), bytes.size());
    std::copy(bytes.begin(), bytes.end(), elements.begin());
    mask::swap_if_big(elements, size);
    void* data = memory->data();
    data_->owned.push_back(std::move(memory));
    return data;
  }

  void read_planes() {
    const std::size_t place = in_.position();
    const auto batch = in_.number_in<int64_t>("batch", 0, INT32_MAX);
    const auto heads = in_.number_in<int64_t>("heads", 0, INT32_MAX);
    const auto count = static_cast<uint64_t>(batch * heads);
    if (count > in_.left() / sizeof(uint64_t)) {
      in_.fail_at(place, "batch x heads", "at most the bytes left", std::to_string(count));
    }
    std::vector<uint64_t> numbers;
    uint64_t distinct = 0;
    for (uint64_t i = 0; i < count; ++i) {
      // A plane is named when it is first used.
      numbers.push_back(in_.number_in<uint64_t>("number of a plane", 0, distinct));
      distinct = std::max(distinct, numbers.back() + 1);
    }
    std::vector<std::shared_ptr<const mask::Plane>> planes;
    for (uint64_t i = 0; i < distinct; ++i) planes.push_back(read_plane());
    data_->batch = batch;
    data_->heads = heads;
    for (const uint64_t number : numbers) {
      data_->planes.push_back(planes[static_cast<std::size_t>(number)]);
    }
  }

  std::shared_ptr<const mask::Plane> read_plane() {
    const std::size_t place = in_.position();
    // Lengths are only numbers in the file: each row must be there, and the columns be allowed.
    const uint64_t rows_left = in_.left() / (2 * sizeof(uint32_t));
    if (static_cast<uint64_t>(data_->rows) > rows_left) {
      in_.fail_at(place, "rows of a plane", std::to_string(data_->rows),
                  std::to_string(rows_left) + " at most (cut short)");
    }
    check_memory(mask::product({data_->rows + data_->columns + 2, 2, sizeof(uint32_t)}));
    mask::RunLists full = read_lists();
    mask::RunLists partial = read_lists();
    check_once(full, partial, place);
    auto plane =
        mask::make_plane(std::move(full), std::move(partial), data_->columns, kWhere, left_bytes_);
    check_memory(plane->memory_bytes());
    left_bytes_ -= plane->memory_bytes();
    return plane;
  }

  void check_memory(int64_t bytes) {
    if (bytes <= left_bytes_) return;
    in_.fail_at(in_.position(), "lists of the mask",
                "at most " + std::to_string(left_bytes_) + " more bytes of memory (max_bytes)",
                std::to_string(bytes));
  }

  mask::RunLists read_lists() {
    mask::LineWriter lines(data_->rows, kWhere);
    const auto columns = static_cast<int32_t>(data_->columns);
    for (int64_t row = 0; row < data_->rows; ++row) {
      const std::size_t place = in_.position();
      const auto runs = in_.number<uint32_t>("runs of a row");
      if (runs > in_.left() / sizeof(BlockRun)) {
        in_.fail_at(
            place, "runs of a row",
            "at most " + std::to_string(in_.left() / sizeof(BlockRun)) + " (the bytes left)",
            std::to_string(runs));
      }
      for (uint32_t i = 0; i < runs; ++i) {
        const auto begin = in_.number_in<int32_t>("first block of a run", 0, columns - 1);
        const auto end = in_.number_in<int32_t>("end of a run", begin + 1, columns);
        lines.add(begin, end);
      }
      lines.end_line();
    }
    return lines.finish();
  }

  void check_once(const mask::RunLists& full, const mask::RunLists& partial, std::size_t place) {
    std::array<std::vector<int32_t>, 2> ends;
    for (int64_t row = 0; row < data_->rows; ++row) {
      bool twice = mask::ends_of(full.line(row), ends[0]) >= 0;
      twice |= mask::ends_of(partial.line(row), ends[1]) >= 0;
      if (!ends[0].empty() && !ends[1].empty()) {
        mask::sweep<2>(ends, static_cast<int32_t>(data_->columns),
                       [&](int32_t, int32_t, unsigned flags) { twice |= flags == 3; });
      }
      if (twice) {
        in_.fail_at(place, "plane", "each block once", "one twice in row " + std::to_string(row));
      }
    }
  }

  ByteReader in_;
  int64_t left_bytes_;
  std::shared_ptr<BlockMask::Data> data_;
};

// Checks what stands before the mask, given at least that much of `file_bytes` bytes.
Hash128 read_header(std::span<const std::byte> bytes, uint64_t file_bytes) {
  ByteReader header(bytes, 0, kWhere);
  const auto magic = header.raw(mask::kFileMagic.size(), "first bytes");
  if (!std::ranges::equal(magic, std::as_bytes(std::span(mask::kFileMagic)))) {
    header.fail_at(0, "first bytes", "those of a block mask file", "others");
  }
  const auto version = header.number<uint32_t>("version");
  if (version != mask::kFileVersion) {
    header.fail_at(8, "version", std::to_string(mask::kFileVersion), std::to_string(version));
  }
  header.number_in<uint32_t>("reserved number", 0, 0);
  const auto size = header.number<uint64_t>("size");
  const Hash128 checksum{header.number<uint64_t>("checksum"), header.number<uint64_t>("checksum")};
  const uint64_t left = file_bytes - mask::kFileHeader;
  if (size != left) {
    header.fail_at(16, "size", std::to_string(size) + " bytes after the header",
                   std::to_string(left));
  }
  return checksum;
}

}  // namespace

BlockMask load_block_mask(std::span<const std::byte> bytes, const LoadOptions& options) {
  const Hash128 checksum = read_header(bytes, bytes.size());
  const auto payload = bytes.subspan(mask::kFileHeader);
  if (core::hash_bytes(payload.data(), payload.size()) != checksum) {
    core::fail_argument(kWhere, "checksum at byte 24", "that of the bytes",
                        "another (the file is damaged)");
  }
  return PayloadReader(bytes, options.max_bytes).read();
}

BlockMask load_block_mask(const std::filesystem::path& file, const LoadOptions& options) {
  std::error_code error;  // a folder has no size
  const auto size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  std::vector<std::byte> bytes;
  const auto read_until = [&](uint64_t end) {
    const std::size_t begin = bytes.size();
    if (!error) bytes.resize(static_cast<std::size_t>(end));
    in.read(reinterpret_cast<char*>(bytes.data() + begin),
            static_cast<std::streamsize>(bytes.size() - begin));
    core::require(!error && in, kWhere, "file must be readable", "a file that can be read",
                  file.string());
  };
  read_until(std::min<uint64_t>(size, mask::kFileHeader));
  read_header(bytes, size);  // whose size is right, before memory for it is asked for
  read_until(size);
  return load_block_mask(bytes, options);
}

}  // namespace fovea
