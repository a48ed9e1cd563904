// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <fovea/error.h>

/// One-line errors in the form that all of fovea uses: `[where] rule: expected X, got Y`.
namespace fovea::core {

inline std::string text(std::string_view s) { return std::string(s); }
inline std::string text(const char* s) { return s; }
inline std::string text(const std::string& s) { return s; }
template <class T>
  requires requires(T x) { std::to_string(x); }
std::string text(T x) {
  return std::to_string(x);
}

[[noreturn]] FOVEA_API void fail_argument(std::string_view where, std::string_view rule,
                                          const std::string& expected, const std::string& got);

template <class Expected, class Got>
void require(bool ok, std::string_view where, std::string_view rule, const Expected& expected,
             const Got& got) {
  if (!ok) fail_argument(where, rule, text(expected), text(got));
}

}  // namespace fovea::core
