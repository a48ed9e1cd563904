// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fovea/version.h>
#include "demo.h"
#include "machine.h"
#include "text_table.h"

namespace fovea::cli {
namespace {

constexpr std::size_t kWidth = 120;

std::string program_line(const char* name, const std::string& program, const std::string& classes) {
  if (program.empty()) return "";
  const std::string tail = classes.empty() ? "" : fmt::format("   [{}]", classes);
  return fmt::format("    {:<9}  {}{}\n", name, fit(program, kWidth - 15 - tail.size()), tail);
}

std::string document_list(const TextInput& text) {
  std::string list;
  for (const Document& document : text.documents) {
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", document.path, document.length);
  }
  return list;
}

nlohmann::json row_json(const DemoRow& row) {
  nlohmann::json parameters = nlohmann::json::object();
  for (const Parameter& parameter : row.variant.parameters)
    parameters[parameter.name] = parameter.value;
  return {{"variant", row.variant.name},
          {"description", row.variant.description},
          {"formula", row.variant.formula},
          {"parameters", parameters},
          {"blocks",
           {{"full", row.blocks.full},
            {"partial", row.blocks.partial},
            {"skipped", row.blocks.skipped}}},
          {"score_mod", row.score_line},
          {"score_classes", row.score_classes},
          {"mask_mod", row.mask_line},
          {"mask_classes", row.mask_classes},
          {"mask_ms", row.mask_ms},
          {"error", row.error},
          {"plain_error", row.plain_error},
          {"ms", row.ms.median},
          {"ms_lowest", row.ms.lowest},
          {"ms_highest", row.ms.highest},
          {"gflops", row.gflops},
          {"peak_gflops", row.peak_gflops},
          {"of_peak", row.gflops / row.peak_gflops},
          {"plain_ms", row.plain_ms},
          {"right", row.right},
          {"pictures", row.pictures}};
}

}  // namespace

std::string demo_header(const DemoSetting& setting) {
  const DemoOptions& options = setting.options;
  const TextInput& text = setting.text;
  const auto line = [](const char* name, const std::string& what) {
    return fmt::format("{:<9} {}\n", name, fit(what, kWidth - 10));
  };
  const std::string pool =
      options.threads > 0 ? fmt::format("; here {} threads", options.threads) : "";
  return line("fovea", fmt::format("{}: {}{}", FOVEA_VERSION_STRING, machine_text(), pool)) +
         line("input",
              fmt::format("{} bytes of {} documents, from {} text files in {}", options.length,
                          text.documents.size(), text.files, text.folder.string())) +
         line("", document_list(text)) +
         line("tensors",
              fmt::format("{} heads, length {}, head_dim {}, float32; blocks of 128 x 128",
                          options.heads, options.length, options.head_dim)) +
         line("error",
              fmt::format("largest difference from the float64 reference, {} rows of each head; "
                          "allowed {:.1e}",
                          std::min(kSampledRows, options.length), setting.allowed_error)) +
         line("of peak",
              "GFLOP/s of the computed blocks, over a plain FMA loop measured before and after") +
         line("plain",
              "the same formula as plain C++ loops over all scores, -O3, as many threads; must "
              "agree");
}

std::string demo_titles() {
  return fmt::format("{:<15} {:>6} {:>8} {:>8}  {:>8}  {:>9} {:>9} {:>8}  {:>9}  {:>7}\n",
                     "variant", "full", "partial", "skipped", "error", "ms", "GFLOP/s", "of peak",
                     "plain ms", "faster");
}

std::string demo_lines(const DemoRow& row) {
  std::string text = fmt::format(
      "{:<15} {:>6} {:>8} {:>8}  {:>8.1e}  {:>9.2f} {:>9.1f} {:>6.1f} %  {:>9.0f}  {:>6.1f}x{}\n",
      row.variant.name, row.blocks.full, row.blocks.partial, row.blocks.skipped, row.error,
      row.ms.median, row.gflops, 100 * row.gflops / row.peak_gflops, row.plain_ms,
      row.plain_ms / row.ms.median, row.right ? "" : "  WRONG");
  if (!row.right) {
    text += fmt::format(
        "    wrong: off by {:.1e} from the reference, by {:.1e} from the plain computation\n",
        row.error, row.plain_error);
  }
  text += program_line("score_mod", row.score_line, row.score_classes);
  text += program_line("mask_mod", row.mask_line, row.mask_classes);
  if (row.score_line.empty() && row.mask_line.empty()) text += "    no program\n";
  return text;
}

std::string demo_json(const DemoSetting& setting, const std::vector<DemoRow>& rows) {
  nlohmann::json documents = nlohmann::json::array();
  for (const Document& document : setting.text.documents) {
    documents.push_back({{"path", document.path}, {"length", document.length}});
  }
  nlohmann::json result = {{"fovea", FOVEA_VERSION_STRING},
                           {"machine", machine_text()},
                           {"compiler", compiler_text()},
                           {"threads", setting.executor().num_threads()},
                           {"folder", setting.text.folder.string()},
                           {"documents", documents},
                           {"length", setting.options.length},
                           {"heads", setting.options.heads},
                           {"head_dim", setting.options.head_dim},
                           {"allowed_error", setting.allowed_error},
                           {"pictures_folder", setting.options.out},
                           {"rows", nlohmann::json::array()}};
  for (const DemoRow& row : rows) result["rows"].push_back(row_json(row));
  // Paths are bytes; JSON is UTF-8. And a NaN becomes null.
  return result.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace fovea::cli
