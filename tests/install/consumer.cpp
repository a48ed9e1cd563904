// SPDX-License-Identifier: Apache-2.0
// Uses the installed library: one causal attention call, one row of it checked.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include <fovea/fovea.h>

namespace {

constexpr int64_t kHeads = 2, kLength = 96, kDim = 16;

std::vector<float> filled(unsigned seed) {
  std::vector<float> data(static_cast<std::size_t>(kHeads * kLength * kDim));
  for (float& x : data) {
    seed = seed * 1664525U + 1013904223U;
    x = static_cast<float>(seed >> 8) / 8388608.0F - 1.0F;
  }
  return data;
}

}  // namespace

int main() {
  const fovea::Dims sizes{1, kHeads, kLength, kDim};
  std::vector<float> q = filled(1), k = filled(2), v = filled(3), out(q.size());
  const auto query = fovea::view(q.data(), sizes), key = fovea::view(k.data(), sizes);
  const auto value = fovea::view(v.data(), sizes), result = fovea::view(out.data(), sizes);

  const auto causal = [](auto, auto, auto row, auto column) { return row >= column; };
  const auto mask = fovea::create_block_mask(causal, {.q_len = kLength, .kv_len = kLength});
  const fovea::FlexOptions options{.block_mask = mask};
  fovea::flex_attention(query, key, value, result, options);

  std::vector<double> expected(static_cast<std::size_t>(kDim));
  const int64_t head = 1, row = 41;
  fovea::reference_row(query, key, value, options, 0, head, row, expected);
  double error = 0;
  for (int64_t d = 0; d < kDim; ++d) {
    const double got = out[static_cast<std::size_t>((head * kLength + row) * kDim + d)];
    error = std::max(error, std::abs(got - expected[static_cast<std::size_t>(d)]));
  }
  // Row 0 may see key 0 alone, so it is value row 0, whatever the reference says.
  const bool first_row = std::equal(v.begin(), v.begin() + kDim, out.begin(),
                                    [](float a, float b) { return std::abs(a - b) <= 1e-6F; });
  std::printf("fovea %s: largest error %.2g, first row %s\n", FOVEA_VERSION_STRING, error,
              first_row ? "right" : "wrong");
  return error < 1e-5 && first_row ? 0 : 1;
}
