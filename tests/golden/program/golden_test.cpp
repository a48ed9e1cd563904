// SPDX-License-Identifier: Apache-2.0
// Programs and their simplified form as text, against the files beside this one. With
// FOVEA_UPDATE_GOLDEN=1 the files are written instead: review what changed.
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <fovea/program.h>

namespace fovea {
namespace {

std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(FOVEA_SOURCE_DIR) / "tests/golden/program" / (name + ".txt");
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void check_golden(const std::string& name, const Program& program) {
  const std::string text = program.to_string() + "\n\nsimplified:\n" +
                           simplify(program).to_string() + "\n\nhash " +
                           to_string(program.structure_hash()) + "\n";
  if (const char* update = std::getenv("FOVEA_UPDATE_GOLDEN");
      update != nullptr && *update == '1') {
    std::ofstream(golden_path(name)) << text;
  }
  EXPECT_EQ(text, read(golden_path(name)));
}

class Golden : public testing::Test {
 protected:
  template <class T>
  static Capture table(std::array<T, 64>& data, const Dims& sizes) {
    return capture(view(data.data(), sizes));
  }

  std::array<int32_t, 64> ints_{};
  std::array<int64_t, 64> longs_{};
  std::array<float, 64> floats_{};
  std::array<bool, 64> flags_{};
};

TEST_F(Golden, Causal) {
  check_golden("causal", mask_mod([](auto, auto, auto q, auto kv) { return q >= kv; }));
}

TEST_F(Golden, SlidingWindow) {
  check_golden("sliding_window",
               mask_mod([](auto, auto, auto q, auto kv) { return q >= kv && q - kv <= 256; }));
}

TEST_F(Golden, PrefixDocument) {
  const auto docs = table(ints_, Dims{64});
  const auto prefix = table(longs_, Dims{64});
  check_golden("prefix_document", mask_mod([=](auto b, auto, auto q, auto kv) {
                 return docs[q] == docs[kv] && (kv < prefix[b] || q >= kv);
               }));
}

TEST_F(Golden, Neighbourhood) {
  check_golden("neighbourhood", mask_mod([](auto, auto, auto q, auto kv) {
                 const auto near = [](auto x, auto y) { return abs(clamp(x, 3, 28) - y) <= 3; };
                 return near(q / 32, kv / 32) && near(q % 32, kv % 32);
               }));
}

TEST_F(Golden, AlibiSoftcap) {
  const auto slopes = table(floats_, Dims{64});
  check_golden("alibi_softcap", score_mod([=](auto score, auto, auto h, auto q, auto kv) {
                 return 30.0 * tanh(score / 30.0) + slopes[h] * (kv - q);
               }));
}

// Buckets of relative positions: Raffel et al., "Exploring the limits of transfer learning", 2020.
TEST_F(Golden, RelativeBias) {
  const auto bias = table(floats_, Dims{32, 2});
  check_golden(
      "relative_bias", score_mod([=](auto score, auto, auto h, auto q, auto kv) {
        const auto distance = max(q - kv, 0);
        const auto far =
            min(16 + to_int(log(to_float(max(distance, 1)) / 16) / std::log(128 / 16.0) * 16), 31);
        return score + bias[where(distance < 16, distance, far)][h];
      }));
}

TEST_F(Golden, TablesAndBits) {
  const auto grid = table(flags_, Dims{8, 8});
  check_golden("tables_and_bits", mask_mod([=](auto, auto h, auto q, auto kv) {
                 return (grid[q >> 3 & 7][kv & 7] | (((q ^ kv) & 40) == 8)) && !(h == 3 || false);
               }));
}

TEST_F(Golden, Wasteful) {
  check_golden("wasteful", score_mod([](auto score, auto, auto, auto q, auto kv) {
                 const auto same = where(!(q < kv), score * 1, score * 1);
                 return where(q - q == 0 && true, same + -to_float(kv), -INFINITY) +
                        to_float(to_int(q / 4 / 8)) + pow(score, 1) + floor(to_float(q % 1));
               }));
}

}  // namespace
}  // namespace fovea
