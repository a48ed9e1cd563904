// SPDX-License-Identifier: Apache-2.0
#include "attention/validate_backward.h"

#include <cstddef>
#include <string>

#include "attention/checker.h"

namespace fovea::attention {
namespace {

// What backward says of a tensor that has another's shape.
template <class Name>
void check_shape(const Checker& check, const Name& name, const char* rule, const TensorView& view,
                 const Dims& sizes) {
  if (view.sizes == sizes) return;
  check.fail(std::string(name()) + rule, to_string(sizes), to_string(view.sizes));
}

auto literal(const char* text) {
  return [text] { return std::string(text); };
}

class BackwardChecker {
 public:
  BackwardChecker(const char* where, const BackwardProblem& problem)
      : check_(where), b_(problem), p_(problem.forward) {}

  void inputs() const {
    given("dout", b_.dout);
    input("dout", " must have the shape of out", b_.dout,
          {p_.query.size(0), p_.q_heads, p_.query.size(2), p_.value_dim});
    same_dtype(literal("dout"), " dtype must equal query dtype", b_.dout, p_.query.dtype);
    if (!b_.dlse) return;
    input("dlse", " must have the shape of lse", *b_.dlse,
          {p_.query.size(0), p_.q_heads, p_.query.size(2)});
    check_.wide("dlse", *b_.dlse);
  }

  void gradient(const char* name, const TensorView& view, const TensorView& of) const {
    if (!view) return;
    output(literal(name), view, of.sizes);
    same_dtype(literal(name), " dtype must equal its tensor's dtype", view, of.dtype);
  }

  void captures(const char* mod, const Program& program,
                const std::vector<TensorView>& gradients) const {
    const std::size_t count = program.captures().size();
    if (gradients.size() > count) {
      check_.fail(std::string("gradients of captures of ") + mod + " must not be more than those",
                  "at most " + std::to_string(count), gradients.size());
    }
    for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
      if (!gradients[slot]) continue;
      const TensorView& of = program.captures()[slot];
      const auto name = [&] { return "capture t" + std::to_string(slot) + " of " + mod; };
      if (!is_floating(of.dtype)) {
        check_.fail(name() + " must be floating-point to have a gradient", "f64, f32, bf16 or f16",
                    name_of(of.dtype));
      }
      wide_output([&] { return "gradient of " + name(); }, gradients[slot], of.sizes);
    }
  }

  void sinks() const {
    if (!b_.dsinks) return;
    if (!p_.sinks) check_.fail("gradient of sinks needs sinks", "options.sinks", "none");
    wide_output(literal("gradient of sinks"), *b_.dsinks, p_.sinks->sizes);
  }

  void given(const char* name, const TensorView& view) const {
    if (!view) check_.fail(std::string(name) + " must be given", "a tensor", "none");
  }

 private:
  void input(const char* name, const char* rule, const TensorView& view, const Dims& sizes) const {
    check_shape(check_, literal(name), rule, view, sizes);
    check_.memory(name, view);
    check_.device(name, view, p_.query.device);
  }

  template <class Name>
  void output(const Name& name, const TensorView& view, const Dims& sizes) const {
    check_shape(check_, name, " must have its tensor's shape", view, sizes);
    check_.memory(name, view);
    check_.device(name, view, p_.query.device);
    check_.no_overlap(name, view);
  }

  template <class Name>
  void wide_output(const Name& name, const TensorView& view, const Dims& sizes) const {
    output(name, view, sizes);
    check_.wide(name, view);
  }

  template <class Name>
  void same_dtype(const Name& name, const char* rule, const TensorView& view, DType dtype) const {
    if (view.dtype != dtype) check_.fail(name() + rule, name_of(dtype), name_of(view.dtype));
  }

  const Checker check_;
  const BackwardProblem& b_;
  const Problem& p_;
};

// In the forward rules it stands for an output that is never touched.
TensorView untouched_out(const TensorView& query, const TensorView& value) {
  TensorView out = query;
  if (query.rank() != 4 || value.rank() != 4) return out;
  out.sizes = {query.size(0), query.size(1), query.size(2), value.size(3)};
  out.strides = contiguous_strides(out.sizes);
  return out;
}

}  // namespace

BackwardProblem validate_backward(const char* where, const TensorView& query, const TensorView& key,
                                  const TensorView& value, const BackwardInputs& saved,
                                  const FlexGradients& gradients, const FlexOptions& options,
                                  Saved reads) {
  if (options.page_table) {
    core::fail_argument(where, "page_table must not be given: pages have no gradient",
                        "key and value without pages", "a page table");
  }
  BackwardProblem b;
  const BackwardChecker check(where, b);
  FlexOptions forward = options;
  forward.max_scores = std::nullopt;
  forward.lse = std::nullopt;
  TensorView out = untouched_out(query, value);
  if (reads == Saved::all) {
    check.given("out", saved.out);
    check.given("lse", saved.lse);
    out = saved.out;
    forward.lse = saved.lse;
  }
  b.forward = validate(where, query, key, value, out, forward);
  b.dout = saved.dout;
  b.dlse = saved.dlse;
  check.inputs();
  b.dquery = gradients.query;
  b.dkey = gradients.key;
  b.dvalue = gradients.value;
  b.score_captures = gradients.score_captures;
  b.weight_captures = gradients.weight_captures;
  b.dsinks = gradients.sinks;
  check.gradient("gradient of query", b.dquery, query);
  check.gradient("gradient of key", b.dkey, key);
  check.gradient("gradient of value", b.dvalue, value);
  check.captures("score_mod", b.forward.score_mod, b.score_captures);
  check.captures("weight_mod", b.forward.weight_mod, b.weight_captures);
  check.sinks();
  return b;
}

}  // namespace fovea::attention
