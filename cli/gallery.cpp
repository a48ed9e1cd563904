// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fovea/block_mask.h>
#include "mask_costs.h"
#include "mask_picture.h"
#include "program_lines.h"
#include "variants.h"
#include "verbs.h"
#include "write_text.h"

namespace fovea::cli {
namespace {

constexpr int64_t kMaskLength = 2048, kMaskBlock = 32;
constexpr int64_t kScoreLength = 32;  // tokens along each side of the picture of a score_mod

nlohmann::json describe(const std::string& name) {
  const Variant variant = make_variant(name, {kMaskLength, kMaskLength});
  nlohmann::json parameters = nlohmann::json::object();
  for (const Parameter& p : variant.parameters) parameters[p.name] = p.value;
  return {{"name", variant.name},
          {"description", variant.description},
          {"formula", variant.formula},
          {"source", variant.source},
          {"length", kMaskLength},
          {"parameters", parameters},
          {"score_mod", variant.score_mod ? one_line(variant.score_mod) : ""},
          {"mask_mod", variant.mask_mod ? one_line(variant.mask_mod) : ""}};
}

// One of nine shades: what the variant makes of a score of 1. Grey: hidden; white: it stays 1.
std::string shade_of(float score) {
  if (score == gallery::kHidden) return "#e4e4e0";
  const float change = std::clamp(score - 1, -2.0F, 2.0F);
  const auto step = static_cast<int>(change * 2 + (change < 0 ? -0.5F : 0.5F));
  constexpr const char* kShades[] = {"#1c4377", "#3f6ea6", "#7ea3cc", "#bdd2e6", "#ffffff",
                                     "#fbd9ae", "#f2a94f", "#d97a1a", "#a5500a"};
  return kShades[step + 4];
}

// Runs of one shade in a row become one rectangle.
std::string score_svg(const Variant& variant) {
  constexpr int64_t n = kScoreLength;
  std::map<std::string, std::string> paths;
  std::vector<float> scores(static_cast<std::size_t>(n));
  for (int64_t q = 0; q < n; ++q) {
    std::fill(scores.begin(), scores.end(), 1.0F);
    variant.plain(scores, {0, 0, q});
    for (int64_t begin = 0, end = 0; begin < n; begin = end) {
      const std::string shade = shade_of(scores[static_cast<std::size_t>(begin)]);
      while (end < n && shade_of(scores[static_cast<std::size_t>(end)]) == shade) ++end;
      paths[shade] += fmt::format("M{} {}h{}v1h-{}z", begin, q, end - begin, end - begin);
    }
  }
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-1 -1 {0} {0}\" width=\"512\" "
      "shape-rendering=\"crispEdges\">\n",
      n + 2);
  svg +=
      fmt::format("<rect x=\"-1\" y=\"-1\" width=\"{0}\" height=\"{0}\" fill=\"#999\"/>\n", n + 2);
  for (const auto& [shade, path] : paths) {
    svg += fmt::format("<path fill=\"{}\" d=\"{}\"/>\n", shade, path);
  }
  return svg + "</svg>\n";
}

std::string picture_of(const std::string& name) {
  const Variant variant = make_variant(name, {kMaskLength, kMaskLength});
  if (!variant.mask_mod) return score_svg(make_variant(name, {kScoreLength, kScoreLength}));
  const BlockMask mask = create_block_mask(
      variant.mask_mod, {kMaskLength, kMaskLength, 1, 4, {kMaskBlock, kMaskBlock}});
  return mask_svg(mask, {name, 0, 0, 512});
}

int run_gallery(const std::string& json, const std::string& pictures, const std::string& costs) {
  if (!costs.empty()) write_text(costs, mask_costs());
  if (json.empty() && pictures.empty() && costs.empty()) {
    for (const std::string& name : variant_names()) {
      fmt::print("{:<24}{}\n", name, make_variant(name, {64, 64}).description);
    }
  }
  if (!json.empty()) {
    nlohmann::json all = nlohmann::json::array();
    for (const std::string& name : variant_names()) all.push_back(describe(name));
    write_text(json, all.dump(1) + "\n");
  }
  if (!pictures.empty()) {
    std::filesystem::create_directories(pictures);
    for (const std::string& name : variant_names()) {
      write_text(std::filesystem::path(pictures) / (name + ".svg"), picture_of(name));
    }
  }
  return 0;
}

}  // namespace

void add_gallery(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("gallery", "names the attention variants that other verbs know");
  auto json = std::make_shared<std::string>();
  auto pictures = std::make_shared<std::string>();
  auto costs = std::make_shared<std::string>();
  verb->add_option("--json", *json, "file for all that is known about them");
  verb->add_option("--pictures", *pictures, "folder for an SVG picture of each");
  verb->add_option("--costs", *costs, "file for a table of what their block masks cost");
  verb->callback([&action, json, pictures, costs] {
    action = [json, pictures, costs] { return run_gallery(*json, *pictures, *costs); };
  });
}

}  // namespace fovea::cli
