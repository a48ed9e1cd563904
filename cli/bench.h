// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// The parts of `fovea bench`: our own timings, without peers. Each prints a table.
namespace fovea::cli {

struct BenchOptions {
  std::string json;  ///< file; empty: none
  int64_t length = 4096;
  int64_t heads = 4;
  int repeats = 9;
  int threads = 0;  ///< 0: the default pool
  std::string png;  ///< of chunked: file for a plot; empty: none
  bool to_a_million = false;
};

int bench_cpu_forward(const BenchOptions& options);
int bench_masks(const BenchOptions& options);
int bench_chunked(const BenchOptions& options);

}  // namespace fovea::cli
