// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fovea/attention.h>
#include "attention_data.h"
#include "text_input.h"
#include "timing.h"
#include "variants.h"

/// The parts of `fovea demo`: each variant of the gallery is run on real text, checked, measured.
namespace fovea::cli {

/// What is shown unless the user chooses.
inline constexpr const char* kDemoVariants[] = {
    "noop",  "causal",  "sliding_window", "prefix_lm",    "document",
    "alibi", "softcap", "t5_bias",        "checkerboard", "natten"};

struct DemoOptions {
  std::string text;  ///< folder; empty: default_text_folder()
  int64_t length = 4096;
  int64_t heads = 4;
  int64_t head_dim = 64;
  int threads = 0;  ///< 0: the default pool
  std::string out = "fovea-demo";
  std::string json;  ///< file; empty: none
  std::vector<std::string> variants;
};

/// What all rows share.
struct DemoSetting {
  DemoOptions options;
  TextInput text;
  AttentionData data;
  std::unique_ptr<Executor> pool;  ///< of --threads; empty: the default one
  double allowed_error = 0;
  Executor& executor() const { return pool ? *pool : default_executor(); }
};

/// One row, and all that is printed about it.
struct DemoRow {
  Variant variant;
  BlockMask mask;  ///< empty if the variant has none
  BlockCounts blocks;
  std::string score_line, score_classes;  ///< program after simplification; empty if there is none
  std::string mask_line, mask_classes;
  double mask_ms = 0;      ///< create_block_mask
  double error = 0;        ///< against the float64 reference, on sampled rows
  double plain_error = 0;  ///< against the plain computation, everywhere
  Spread ms;
  double gflops = 0;
  double peak_gflops = 0;  ///< measured just before and after
  double plain_ms = 0;
  bool right = false;
  std::vector<std::string> pictures;  ///< file names in the output folder
};

inline constexpr int64_t kSampledRows = 48;  ///< of each head

DemoSetting prepare_demo(const DemoOptions& options);
Variant make_demo_variant(const DemoSetting& setting, const std::string& name);

/// Runs, checks and measures. `report` is told what is being done now.
DemoRow run_demo_row(DemoSetting& setting, Variant variant,
                     const std::function<void(const std::string&)>& report);

/// Draws the row's pictures into the output folder and notes them in it.
void draw_demo_row(const DemoSetting& setting, DemoRow& row);

std::string demo_header(const DemoSetting& setting);
std::string demo_titles();
std::string demo_lines(const DemoRow& row);
std::string demo_json(const DemoSetting& setting, const std::vector<DemoRow>& rows);
/// One page with all pictures.
std::string demo_page(const DemoSetting& setting, const std::vector<DemoRow>& rows);

}  // namespace fovea::cli
