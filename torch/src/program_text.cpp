// SPDX-License-Identifier: Apache-2.0
#include "program_text.h"

#include <cstdlib>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fovea/error.h>
#include <fovea/torch_tensor.h>

namespace fovea::torch {
namespace {

// A parsed text. A program numbers its parameters and tensors as its result reaches them, and drops what
// it does not need; here stands what each of its slots was called in the text.
struct Template {
  std::shared_ptr<const program::Graph> graph;
  ModKind kind = ModKind::score;
  std::vector<Literal> params;                         // of declared ones, the value is a marker
  std::vector<int64_t> sources;                        // by capture slot
  std::size_t captures = 0, integers = 0, floats = 0;  // that the text declares
};

// A declared parameter's value while a text is parsed: no literal is that large.
constexpr int64_t kFirstInteger = int64_t{0x5f0ea} << 40;
constexpr double kFirstFloat = 0x1p110, kFloatStep = 0x1p70;

int64_t index_of_marker(const Literal& literal) {
  if (literal.type == ScalarType::boolean) return -1;
  if (literal.type == ScalarType::i32)
    return literal.i < kFirstInteger ? -1 : literal.i - kFirstInteger;
  return literal.f < kFirstFloat ? -1
                                 : static_cast<int64_t>((literal.f - kFirstFloat) / kFloatStep);
}

// The declarations of a text, counted: `t3: f32[2]`, `n0: i32`, `x1: f32`. Booleans are constants.
std::size_t count_declared(std::string_view text, char letter) {
  const std::string_view header = text.substr(0, text.find(')'));
  std::size_t count = 0;
  for (std::size_t at = header.find(';'); at < header.size(); at = header.find(',', at)) {
    ++at;
    while (at < header.size() && header[at] == ' ') ++at;
    count += at + 1 < header.size() && header[at] == letter && header[at + 1] >= '0' &&
             header[at + 1] <= '9';
  }
  return count;
}

// `n0: i32` becomes `n0: i32 = MARKER`, so that slots can be traced back.
std::string with_markers(std::string_view text) {
  std::string result;
  const std::size_t end = text.find(')');
  const std::size_t begin = text.find(';');
  if (begin == std::string_view::npos || begin > end) return std::string(text);
  result = text.substr(0, begin + 1);
  std::size_t at = begin + 1;
  while (at < end) {
    std::size_t next = std::min(text.find(',', at), end);
    std::string_view declaration = text.substr(at, next - at);
    result += declaration;
    const std::size_t name = declaration.find_first_not_of(' ');
    const bool is_param =
        name != std::string_view::npos && (declaration[name] == 'n' || declaration[name] == 'x');
    if (is_param) {
      const int index = std::atoi(std::string(declaration.substr(name + 1)).c_str());
      result += " = ";
      if (declaration[name] == 'n') {
        result += std::to_string(kFirstInteger + index);
      } else {
        result += std::to_string(kFirstFloat + index * kFloatStep);
      }
    }
    if (next < end) result += ',';
    at = next + 1;
  }
  result += text.substr(end);
  return result;
}

// Stand-ins whose address says which tensor of the caller's they are.
std::vector<TensorView> markers(at::TensorList captures) {
  std::vector<TensorView> views;
  for (const at::Tensor& tensor : captures) {
    TensorView view = view_of(tensor);
    view.data = reinterpret_cast<void*>(views.size() + 1);
    views.push_back(view);
  }
  return views;
}

std::shared_ptr<const Template> parse(const char* where, const ModArguments& mod) {
  auto parsed = std::make_shared<Template>();
  parsed->captures = count_declared(mod.text, 't');
  parsed->integers = count_declared(mod.text, 'n');
  parsed->floats = count_declared(mod.text, 'x');
  if (parsed->captures != mod.captures.size()) {
    throw InvalidArgument(std::string("[") + where + "] captured tensors: expected " +
                          std::to_string(parsed->captures) + ", got " +
                          std::to_string(mod.captures.size()));
  }
  const std::vector<TensorView> views = markers(mod.captures);
  const Program program = parse_program(with_markers(mod.text), views);
  parsed->graph = program.shared_graph();
  parsed->kind = program.kind();
  parsed->params.assign(program.params().begin(), program.params().end());
  for (const TensorView& view : program.captures()) {
    parsed->sources.push_back(static_cast<int64_t>(reinterpret_cast<std::uintptr_t>(view.data)) -
                              1);
  }
  return parsed;
}

// Texts by themselves and by the captured tensors' dtypes and ranks, which they declare.
class Templates {
 public:
  std::shared_ptr<const Template> get(const char* where, const ModArguments& mod) {
    const std::lock_guard lock(mutex_);
    const auto found = by_text_.find(mod.text);
    if (found != by_text_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return found->second->second;
    }
    order_.emplace_front(mod.text, parse(where, mod));
    by_text_.emplace(order_.front().first, order_.begin());
    if (order_.size() > kMost) {
      by_text_.erase(order_.back().first);
      order_.pop_back();
    }
    return order_.front().second;
  }

 private:
  static constexpr std::size_t kMost = 1024;
  using Entry = std::pair<std::string, std::shared_ptr<const Template>>;
  std::mutex mutex_;
  std::list<Entry> order_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text_;
};

void check_count(const char* where, const char* what, std::size_t expected, std::size_t got) {
  if (expected == got) return;
  throw InvalidArgument(std::string("[") + where + "] " + what + ": expected " +
                        std::to_string(expected) + ", got " + std::to_string(got));
}

}  // namespace

BoundProgram bind_program(const char* where, ModKind kind, const ModArguments& mod) {
  if (mod.text.empty()) return {};
  static Templates templates;
  const std::shared_ptr<const Template> known = templates.get(where, mod);
  check_count(where, "captured tensors", known->captures, mod.captures.size());
  check_count(where, "integer values of the program", known->integers, mod.integers.size());
  check_count(where, "float values of the program", known->floats, mod.floats.size());
  if (known->kind != kind) {
    throw InvalidArgument(std::string("[") + where + "] program: expected a " + name_of(kind) +
                          ", got a " + name_of(known->kind));
  }
  std::vector<Literal> params = known->params;
  for (Literal& literal : params) {
    const int64_t index = index_of_marker(literal);
    if (index < 0) continue;  // a literal of the text itself
    const std::size_t count =
        literal.type == ScalarType::f32 ? mod.floats.size() : mod.integers.size();
    if (index >= static_cast<int64_t>(count)) {
      throw InvalidArgument(std::string("[") + where +
                            "] number of a declared parameter: expected below " +
                            std::to_string(count) + ", got " + std::to_string(index));
    }
    if (literal.type == ScalarType::f32) {
      literal.f = mod.floats[static_cast<std::size_t>(index)];
    } else {
      literal.i = mod.integers[static_cast<std::size_t>(index)];
    }
  }
  std::vector<TensorView> captures;
  captures.reserve(known->sources.size());
  for (const int64_t source : known->sources) {
    captures.push_back(view_of(mod.captures[static_cast<std::size_t>(source)]));
  }
  return {Program(known->graph, std::move(params), std::move(captures)), known->sources};
}

}  // namespace fovea::torch
