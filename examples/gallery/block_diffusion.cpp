// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "variant.h"

namespace fovea::gallery {

void block_diffusion(VariantMaker& make) {
  const int64_t block = make.whole("block", make.length() / 16);
  const int64_t half = std::max<int64_t>(1, make.length() / 2);
  make.describe(
      "Noised tokens, then the same ones clean: blocks are denoised given all clean ones before.",
      "same half: Q == K, or both clean and Q > K; noised sees clean: Q > K; "
      "Q = q % half / block, K = kv % half / block",
      "Arriola et al., 2025 (block diffusion)");
  make.mask(
      [=](auto, auto, auto q, auto kv) {
        const auto rows = q % half / block, columns = kv % half / block;
        const auto q_noised = q < half, kv_noised = kv < half;
        return (rows == columns && q_noised == kv_noised) ||
               (rows > columns && q_noised && !kv_noised) ||
               (rows >= columns && !q_noised && !kv_noised);
      },
      [=](const Row& row, int64_t kv) {
        const int64_t rows = row.q % half / block, columns = kv % half / block;
        if (kv < half) return row.q < half && rows == columns;
        return row.q < half ? rows > columns : rows >= columns;
      });
}

}  // namespace fovea::gallery
