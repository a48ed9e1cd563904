// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <fovea/version.h>
#include "demo.h"
#include "html.h"
#include "machine.h"

namespace fovea::cli {
namespace {

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;color:#2d2d32;max-width:1180px;margin:2rem "
    "auto;padding:0 1rem}"
    "section{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:1.5rem;"
    "border-top:1px solid #ddd;padding:1.5rem 0}"
    "h2{margin:0}img{width:100%;image-rendering:auto}code{background:#f4f4f1;padding:.1em .3em;"
    "overflow-wrap:anywhere}td{padding:.1rem 1rem .1rem "
    "0;vertical-align:top}.wrong{color:#b00020;font-weight:600}";

std::string entry(const char* name, const std::string& value) {
  return fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", name, value);
}

std::string program_entry(const char* name, const std::string& line, const std::string& classes) {
  if (line.empty()) return "";
  return entry(name,
               fmt::format("<code>{}</code><br>{}", html_escaped(line), html_escaped(classes)));
}

std::string figures(const DemoRow& row) {
  std::string parameters;
  for (const Parameter& p : row.variant.parameters)
    parameters += fmt::format("{} = {} ", p.name, p.value);
  std::string text = "<table>\n";
  if (!parameters.empty()) text += entry("parameters", parameters);
  text += program_entry("score_mod", row.score_line, row.score_classes);
  text += program_entry("mask_mod", row.mask_line, row.mask_classes);
  text += entry("blocks", fmt::format("{} full, {} partial, {} skipped", row.blocks.full,
                                      row.blocks.partial, row.blocks.skipped));
  if (row.mask) text += entry("mask built in", fmt::format("{:.2f} ms", row.mask_ms));
  text += entry("error", fmt::format("{:.1e} from float64, {:.1e} from the plain computation{}",
                                     row.error, row.plain_error,
                                     row.right ? "" : " <span class=\"wrong\">wrong</span>"));
  text += entry("time", fmt::format("{:.2f} ms ({:.1f} GFLOP/s, {:.1f} % of the FMA peak)",
                                    row.ms.median, row.gflops, 100 * row.gflops / row.peak_gflops));
  text += entry("plain", fmt::format("{:.0f} ms, {:.1f} times as long", row.plain_ms,
                                     row.plain_ms / row.ms.median));
  return text + "</table>\n";
}

std::string section(const DemoRow& row) {
  std::string text = fmt::format(
      "<section>\n<div>\n<h2>{}</h2>\n<p>{}</p>\n<p><code>{}</code></p>\n{}</div>\n<div>\n",
      html_escaped(row.variant.name), html_escaped(row.variant.description),
      html_escaped(row.variant.formula), figures(row));
  for (const std::string& picture : row.pictures) {
    if (!picture.ends_with(".png")) continue;
    text += fmt::format("<a href=\"{0}\"><img src=\"{0}\" alt=\"{1}\"></a>\n", picture,
                        html_escaped(row.variant.formula));
  }
  return text + "</div>\n</section>\n";
}

}  // namespace

std::string demo_page(const DemoSetting& setting, const std::vector<DemoRow>& rows) {
  const DemoOptions& options = setting.options;
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>fovea demo</title>"
      "<style>{}</style></head>\n<body>\n<h1>fovea {}</h1>\n",
      kStyle, FOVEA_VERSION_STRING);
  text +=
      fmt::format("<p>{}. {} bytes of text as tokens, {} heads, head_dim {}, float32.</p>\n",
                  html_escaped(machine_text()), options.length, options.heads, options.head_dim);
  for (const DemoRow& row : rows) text += section(row);
  return text + "</body>\n</html>\n";
}

}  // namespace fovea::cli
