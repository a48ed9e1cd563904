// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <gtest/gtest.h>

#include <fovea/block_mask_file.h>
#include "core/hash.h"
#include "error/mask/message_of.h"
#include "mask/block_mask_format.h"

namespace fovea {
namespace {

using Bytes = std::vector<std::byte>;

constexpr auto kCausal = [](auto, auto, auto q, auto kv) { return q >= kv; };

std::string load(const Bytes& bytes, const LoadOptions& options = {}) {
  const std::string text = test::message_of([&] { load_block_mask(bytes, options); });
  const std::string where = "[load_block_mask] ";
  return text.starts_with(where) ? text.substr(where.size()) : text;
}

Bytes causal() {
  return save_block_mask(
      create_block_mask(kCausal, {.q_len = 40, .kv_len = 40, .block_size = {16, 16}}));
}

// A file around these payload bytes, with the right checksum.
Bytes file_of(const Bytes& payload) {
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

struct Fields {
  int64_t q_len = 4, kv_len = 4, block_q = 4, block_kv = 4;
  uint8_t listing = 2;
  std::string program = "kv <= q";
  std::vector<uint8_t> dtype_rank;  // of one captured tensor, whose bytes follow
  Bytes capture;
  int64_t batch = 1, heads = 1;
  std::vector<uint64_t> planes{0};
  std::vector<uint32_t> full{0}, partial{1, 0, 1};

  Bytes file() const {
    mask::ByteWriter out;
    for (const int64_t x : {q_len, kv_len, block_q, block_kv}) out.number(x);
    out.number(listing);
    out.number(static_cast<uint64_t>(program.size()));
    out.raw(std::as_bytes(std::span(program)));
    if (!program.empty()) out.number(uint64_t{dtype_rank.empty() ? 0U : 1U});
    for (const uint8_t x : dtype_rank) out.number(x);
    out.raw(capture);
    out.number(batch);
    out.number(heads);
    for (const uint64_t x : planes) out.number(x);
    for (const auto* list : {&full, &partial}) {
      for (const uint32_t x : *list) out.number(x);
    }
    return file_of(out.finish());
  }
};

TEST(LoadBlockMaskError, ValidIsNone) {
  EXPECT_EQ(load(causal()), "no error");
  EXPECT_EQ(load(Fields().file()), "no error");
}

TEST(LoadBlockMaskError, EveryTruncation) {
  const Bytes bytes = causal();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(load(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))),
              "no error");
  }
  EXPECT_EQ(load({}), "first bytes at byte 0: expected 8 bytes, got 0 (cut short)");
  EXPECT_EQ(load(Bytes(bytes.begin(), bytes.begin() + 30)),
            "checksum at byte 24: expected 8 bytes, got 6 (cut short)");
}

TEST(LoadBlockMaskError, EveryChangedByte) {
  const Bytes bytes = causal();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes damaged = bytes;
    damaged[i] ^= std::byte{0x10};
    EXPECT_NE(load(damaged), "no error") << "byte " << i;
  }
}

TEST(LoadBlockMaskError, Header) {
  Bytes magic = causal();
  magic[0] = std::byte{'X'};
  EXPECT_EQ(load(magic), "first bytes at byte 0: expected those of a block mask file, got others");
  Bytes version = causal();
  version[8] = std::byte{2};
  EXPECT_EQ(load(version), "version at byte 8: expected 1, got 2");
  Bytes reserved = causal();
  reserved[12] = std::byte{1};
  EXPECT_EQ(load(reserved), "reserved number at byte 12: expected 0 to 0, got 1");
  Bytes longer = causal();
  longer.push_back(std::byte{0});
  const std::string size = std::to_string(causal().size() - mask::kFileHeader);
  EXPECT_EQ(load(longer), "size at byte 16: expected " + size + " bytes after the header, got " +
                              std::to_string(longer.size() - mask::kFileHeader));
  Bytes damaged = causal();
  damaged.back() ^= std::byte{1};
  EXPECT_EQ(load(damaged),
            "checksum at byte 24: expected that of the bytes, got another (the file is damaged)");
}

TEST(LoadBlockMaskError, Shape) {
  Fields fields;
  fields.q_len = -1;
  EXPECT_EQ(load(fields.file()), "q_len at byte 40: expected 0 to 1152921504606846976, got -1");
  fields = {};
  fields.block_kv = 0;
  EXPECT_EQ(load(fields.file()),
            "block_size.kv at byte 64: expected 1 to 1152921504606846976, got 0");
  fields = {};
  fields.kv_len = int64_t{1} << 40;
  EXPECT_EQ(load(fields.file()),
            "blocks along kv must fit 32 bits: expected at most 2147483647, got 274877906944");
  fields = {};
  fields.listing = 3;
  EXPECT_EQ(load(fields.file()), "kind of lists at byte 72: expected 0 to 2, got 3");
}

TEST(LoadBlockMaskError, Program) {
  Fields fields;
  fields.program = "kv <=";
  EXPECT_NE(load(fields.file())
                .find("program at byte 73: expected the text of a mask_mod, got "
                      "'[parse_program] line 1"),
            std::string::npos);
  fields.program = "score + 1.0";
  EXPECT_EQ(load(fields.file()), "program at byte 73: expected a mask_mod, got a score_mod");
  fields.program = "";
  fields.listing = 0;
  EXPECT_EQ(load(fields.file()),
            "program of a mask whose lists do not decide at byte 73: expected a mask_mod, got "
            "none");
}

TEST(LoadBlockMaskError, CapturedTensors) {
  Fields fields;
  fields.dtype_rank = {5, 0};  // an i32 that the program does not read
  fields.capture.resize(4);
  EXPECT_NE(load(fields.file()), "no error");
  fields.program = "t0 <= q";
  EXPECT_EQ(load(fields.file()), "no error");
  fields.capture.resize(0);
  fields.dtype_rank = {10, 0};
  EXPECT_EQ(load(fields.file()), "dtype at byte 96: expected 0 to 9, got 10");
  fields.dtype_rank = {5, 17};
  EXPECT_EQ(load(fields.file()), "rank at byte 97: expected 0 to 16, got 17");
  // One dimension of 2^60 elements that are not there.
  fields.program = "t0[q] <= q";
  fields.dtype_rank = {5, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0};
  EXPECT_NE(load(fields.file()).find("expected 1152921504606846976 elements"), std::string::npos);
  // Three of 2^40.
  fields.dtype_rank = {5, 3};
  for (int i = 0; i < 3; ++i) {
    fields.dtype_rank.insert(fields.dtype_rank.end(), {0, 0, 0, 0, 0, 1, 0, 0, 1});
  }
  EXPECT_EQ(load(fields.file()),
            "elements of a captured tensor at byte 101: expected at most 2^62, got more");
}

TEST(LoadBlockMaskError, Planes) {
  Fields fields;
  fields.batch = int64_t{1} << 30;
  fields.heads = int64_t{1} << 30;
  EXPECT_EQ(load(fields.file()),
            "batch x heads at byte 96: expected at most the bytes left, got 1152921504606846976");
  fields = {};
  fields.planes = {1};
  EXPECT_EQ(load(fields.file()), "number of a plane at byte 112: expected 0 to 0, got 1");
  fields = {};
  fields.q_len = 1 << 30;
  fields.block_q = 1;
  EXPECT_EQ(load(fields.file()),
            "rows of a plane at byte 120: expected 1073741824, got 2 at most (cut short)");
  fields = {};
  fields.kv_len = 1 << 30;
  fields.block_kv = 1;
  EXPECT_EQ(load(fields.file()),
            "lists of the mask at byte 120: expected at most 2147483648 more bytes of memory "
            "(max_bytes), got 8589934616");
}

TEST(LoadBlockMaskError, Lists) {
  Fields fields;
  fields.partial = {1, 0, 2};
  EXPECT_EQ(load(fields.file()), "end of a run at byte 132: expected 1 to 1, got 2");
  fields.partial = {1, 1, 1};
  EXPECT_EQ(load(fields.file()), "first block of a run at byte 128: expected 0 to 0, got 1");
  fields.partial = {1, 0, 0};
  EXPECT_EQ(load(fields.file()), "end of a run at byte 132: expected 1 to 1, got 0");
  fields.partial = {7, 0, 1};
  EXPECT_EQ(load(fields.file()),
            "runs of a row at byte 124: expected at most 1 (the bytes left), got 7");
  fields.full = {1, 0, 1};
  fields.partial = {1, 0, 1};
  EXPECT_EQ(load(fields.file()),
            "plane at byte 120: expected each block once, got one twice in row "
            "0");
  fields.full = {0};
  fields.partial = {0, 0};
  EXPECT_EQ(load(fields.file()), "end of the mask at byte 128: expected no more bytes, got 4");
}

// Few bytes that stand for many runs by column.
TEST(LoadBlockMaskError, ListsThatGrow) {
  Fields fields;
  fields.kv_len = 1 << 20;
  fields.block_kv = fields.block_q = 1;
  fields.q_len = 64;
  fields.full.assign(64, 0);
  fields.partial.clear();
  for (int row = 0; row < 64; ++row) {
    fields.partial.push_back(row % 2 == 0 ? 1 : 0);
    if (row % 2 == 0) fields.partial.insert(fields.partial.end(), {0, 1 << 20});
  }
  EXPECT_NE(load(fields.file(), {.max_bytes = 100 << 20})
                .find("lists by the other axis must fit the memory allowed"),
            std::string::npos);
}

TEST(LoadBlockMaskError, Files) {
  const auto folder = std::filesystem::temp_directory_path();
  EXPECT_EQ(test::message_of([&] { load_block_mask(folder / "no such file"); }),
            "[load_block_mask] file must be readable: expected a file that can be read, got " +
                (folder / "no such file").string());
  EXPECT_NE(test::message_of([&] { load_block_mask(folder); }), "no error");
  const BlockMask mask = create_block_mask(kCausal, {.q_len = 4, .kv_len = 4});
  const auto missing = folder / "no such folder" / "mask";
  EXPECT_EQ(test::message_of([&] { save_block_mask(mask, missing); }),
            "[save_block_mask] file must be writable: expected a path that can be written, got " +
                missing.string());
}

TEST(LoadBlockMaskError, DamagedFileOnDisk) {
  const auto file = std::filesystem::temp_directory_path() / "fovea_damaged_mask_test.fbm";
  save_block_mask(create_block_mask(kCausal, {.q_len = 4, .kv_len = 4}), file);
  const auto size = std::filesystem::file_size(file);
  const auto load_cut_to = [&](uint64_t end) {
    std::filesystem::resize_file(file, end);
    return test::message_of([&] { load_block_mask(file); });
  };
  EXPECT_EQ(load_cut_to(size), "no error");
  // Nothing but the header of a long one is read.
  const uint64_t huge = uint64_t{1} << 36;
  EXPECT_EQ(load_cut_to(huge), "[load_block_mask] size at byte 16: expected " +
                                   std::to_string(size - mask::kFileHeader) +
                                   " bytes after the header, got " +
                                   std::to_string(huge - mask::kFileHeader));
  EXPECT_EQ(load_cut_to(30),
            "[load_block_mask] checksum at byte 24: expected 8 bytes, got 6 (cut short)");
  EXPECT_EQ(load_cut_to(0),
            "[load_block_mask] first bytes at byte 0: expected 8 bytes, got 0 (cut short)");
  std::filesystem::remove(file);
}

TEST(SaveBlockMaskError, CapturedTensors) {
  static const std::vector<int32_t> counts{0}, indices{0};
  const KvBlocks none{.kv_num_blocks = view(counts.data(), {1}),
                      .kv_indices = view(indices.data(), {1, 1})};
  const auto save = [&](const TensorView& tensor) {
    const Program mod = parse_program("t0[q] == 1", std::span(&tensor, 1));
    return test::message_of(
        [&] { save_block_mask(BlockMask::from_kv_blocks(none, {.mask_mod = mod})); });
  };
  TensorView tensor = view(counts.data(), {1});
  tensor.device.type = DeviceType::cuda;
  EXPECT_EQ(save(tensor),
            "[save_block_mask] captured tensor t0 must be on the cpu: expected cpu, got cuda");
  tensor = view(counts.data(), {1});
  tensor.data = nullptr;
  EXPECT_EQ(save(tensor),
            "[save_block_mask] captured tensor t0 must have memory: expected a pointer, got null");
  EXPECT_EQ(test::message_of([] { save_block_mask(BlockMask()); }),
            "[save_block_mask] mask must not be empty: expected one made by create_block_mask or "
            "BlockMask::from_kv_blocks, got a default-constructed one");
}

}  // namespace
}  // namespace fovea
