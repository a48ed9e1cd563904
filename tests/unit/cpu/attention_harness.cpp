// SPDX-License-Identifier: Apache-2.0
#include "unit/cpu/attention_harness.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <ostream>

#include <fovea/random.h>
#include "attention/reference.h"
#include "cpu/attention/decode.h"
#include "cpu/attention/forward.h"
#include "cpu/attention/paths.h"
#include "cpu/isa.h"

namespace fovea::cpu::testing {
namespace {

constexpr std::size_t kGuardBytes = 256;
constexpr int kGuard = 0xff;  // as floats: NaN

struct Free {
  void operator()(void* p) const { std::free(p); }
};

TensorView filled(std::vector<float>& data, const Dims& sizes, const Random& random,
                  uint64_t& position) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  data.resize(static_cast<std::size_t>(count));
  for (float& x : data) x = random.normal(position++);
  return view(data.data(), sizes);
}

uint16_t narrowed(float x, DType dtype) {
  return dtype == DType::bf16 ? BFloat16(x).bits : Float16(x).bits;
}
float widened(uint16_t bits, DType dtype) {
  BFloat16 bf16;
  Float16 f16;
  bf16.bits = f16.bits = bits;
  return dtype == DType::bf16 ? static_cast<float>(bf16) : static_cast<float>(f16);
}

// Outputs of a problem, and the problem.
struct Call {
  Call(const Inputs& inputs, DType out_type)
      : query(inputs.query, inputs.types.query),
        key(inputs.key, inputs.types.key),
        value(inputs.value, inputs.types.value) {
    const Shape& s = inputs.shape;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const int64_t rows = s.batch * s.q_heads * s.q_len;
    result.out.assign(static_cast<std::size_t>(rows * inputs.value_dim()), nan);
    result.lse.assign(static_cast<std::size_t>(rows), nan);
    narrow_out.assign(out_type == DType::f32 ? 0 : result.out.size(), narrowed(nan, out_type));
    FlexOptions options = inputs.options;
    options.lse = view(result.lse.data(), {s.batch, s.q_heads, s.q_len});
    if (inputs.max_scores) {
      result.max_scores.assign(static_cast<std::size_t>(rows), nan);
      options.max_scores = view(result.max_scores.data(), {s.batch, s.q_heads, s.q_len});
    }
    TensorView out = view(result.out.data(), {s.batch, s.q_heads, s.q_len, inputs.value_dim()});
    out.dtype = out_type;
    if (out_type != DType::f32) out.data = narrow_out.data();
    problem = attention::validate("test", query.view, key.view, value.view, out, options);
  }
  Result finish() {
    for (std::size_t i = 0; i < narrow_out.size(); ++i) {
      result.out[i] = widened(narrow_out[i], problem.out.dtype);
    }
    return result;
  }
  Narrowed query, key, value;
  Result result;
  std::vector<uint16_t> narrow_out;
  attention::Problem problem;
};

}  // namespace

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

::testing::AssertionResult is_near(const std::string& what, const std::vector<float>& got,
                                   const std::vector<float>& expected, double tolerance) {
  if (got.size() != expected.size()) return ::testing::AssertionFailure() << what << ": other size";
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(expected[i]);
    const bool ok = std::isnan(b)   ? std::isnan(a)
                    : std::isinf(b) ? a == b
                                    : std::abs(a - b) <= tolerance * (1 + std::abs(b));
    if (!ok) {
      return ::testing::AssertionFailure()
             << what << "[" << i << "]: expected " << b << ", got " << a;
    }
  }
  return ::testing::AssertionSuccess();
}

std::vector<NamedKernels> all_kernels() {
  std::vector<NamedKernels> all;
  for (const Isa isa : usable_isas()) all.push_back({name_of(isa), &attention_kernels(isa)});
  all.push_back({"wide", &wide::kAttentionKernels});
  return all;
}

std::string name_of_kernels(const ::testing::TestParamInfo<NamedKernels>& info) {
  return info.param.name;
}
void PrintTo(const NamedKernels& kernels, std::ostream* out) { *out << kernels.name; }

std::string to_string(const Shape& s) {
  std::string text = "batch " + std::to_string(s.batch) + ", heads " + std::to_string(s.q_heads);
  text += "/" + std::to_string(s.kv_heads) + ", lengths " + std::to_string(s.q_len) + " x ";
  text += std::to_string(s.kv_len) + ", head_dim " + std::to_string(s.head_dim);
  return text + ", value_dim " + std::to_string(s.value_dim);
}

std::string to_string(const Types& types) {
  std::string text = "query " + std::string(name_of(types.query)) + ", key " + name_of(types.key);
  return text + ", value " + name_of(types.value) + ", out " + name_of(types.out);
}

Narrowed::Narrowed(const TensorView& from, DType dtype) : view(from) {
  view.dtype = dtype;
  if (dtype == DType::f32 || from.numel() == 0) return;
  int64_t first = 0, last = 0;  // elements of the memory that the strides lead to
  for (int i = 0; i < from.rank(); ++i) {
    const int64_t span = (from.size(i) - 1) * from.stride(i);
    (span < 0 ? first : last) += span;
  }
  const auto* elements = static_cast<const float*>(from.data);
  for (int64_t i = first; i <= last; ++i) data.push_back(narrowed(elements[i], dtype));
  view.data = data.data() - first;
}

Inputs::Inputs(const Shape& s, uint64_t seed) : shape(s) {
  const Random random(seed);
  uint64_t position = 0;
  query = filled(query_data, {s.batch, s.q_heads, s.q_len, s.head_dim}, random, position);
  key = filled(key_data, {s.batch, s.kv_heads, s.kv_len, s.head_dim}, random, position);
  value = filled(value_data, {s.batch, s.kv_heads, s.kv_len, value_dim()}, random, position);
}

bool Result::operator==(const Result& other) const {
  return same_bits(out, other.out) && same_bits(lse, other.lse) &&
         same_bits(max_scores, other.max_scores);
}

Result run_kernels(const NamedKernels& kernels, const Inputs& inputs, int threads, Path path) {
  Call call(inputs, inputs.types.out);
  const attention::Problem& problem = call.problem;
  const ForwardPrograms programs(problem);
  const ForwardBindings bindings = bind(programs, problem);
  const auto executor = make_thread_pool(threads);

  auto bytes_of = forward_workspace_bytes;
  auto run = run_forward;
  if (path == Path::decode) {
    EXPECT_TRUE(decodes(problem, problem.q_len));
    bytes_of = decode_workspace_bytes;
    run = run_decode;
  } else if (path == Path::chosen) {
    bytes_of = attention_workspace_bytes;
    run = run_attention;
  }
  const std::size_t bytes = bytes_of(*kernels.kernels, programs, problem, executor->num_threads());
  const std::size_t all = (bytes + kGuardBytes + 63) / 64 * 64;
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, all));
  std::memset(memory.get(), kGuard, all);
  run(*kernels.kernels, programs, bindings, problem, {memory.get(), bytes}, *executor);
  for (std::size_t i = bytes; i < all; ++i) {
    if (static_cast<unsigned char*>(memory.get())[i] == kGuard) continue;
    ADD_FAILURE() << "written " << i - bytes << " bytes behind the workspace";
    break;
  }
  return call.finish();
}

Result run_reference(const Inputs& inputs) {
  Call call(inputs, DType::f32);
  attention::reference(call.problem, default_executor());
  return call.finish();
}

::testing::AssertionResult is_near(const Result& got, const Result& expected, double tolerance) {
  const auto out = is_near("out", got.out, expected.out, tolerance);
  if (!out) return out;
  const auto lse = is_near("lse", got.lse, expected.lse, tolerance);
  return lse ? is_near("max_scores", got.max_scores, expected.max_scores, tolerance) : lse;
}

::testing::AssertionResult is_right(const NamedKernels& kernels, const Inputs& inputs, int threads,
                                    double tolerance, Path path) {
  auto near =
      is_near(run_kernels(kernels, inputs, threads, path), run_reference(inputs), tolerance);
  if (!near) near << " (" << to_string(inputs.shape) << "; " << to_string(inputs.types) << ")";
  return near;
}

}  // namespace fovea::cpu::testing
