// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/paths.h"

#include <algorithm>
#include <optional>

#include "cpu/attention/decode.h"
#include "cpu/attention/forward.h"

namespace fovea::cpu {
namespace {

using attention::Problem;
using attention::Sequence;

// The problem with no more than the sequences that decode, or those that do not.
Problem sequences_that(bool decode, const Problem& problem) {
  Problem part = problem;
  part.q_len = part.kv_len = 0;
  for (Sequence& s : part.sequences) {
    if (decodes(problem, s.q_len) != decode) s.q_len = s.kv_len = 0;
    part.q_len = std::max(part.q_len, s.q_len);
    part.kv_len = std::max(part.kv_len, s.kv_len);
  }
  return part;
}

// The parts of a problem by the way that they take; a part that is the whole is not copied.
class Parts {
 public:
  explicit Parts(const Problem& problem) {
    const auto decode = [&](const Sequence& s) { return decodes(problem, s.q_len); };
    const bool any = problem.sequences.empty() ? decodes(problem, problem.q_len)
                                               : std::ranges::any_of(problem.sequences, decode);
    const bool all =
        problem.sequences.empty() ? any : std::ranges::all_of(problem.sequences, decode);
    if (any && !all) {
      few_.emplace(sequences_that(true, problem));
      many_.emplace(sequences_that(false, problem));
    }
    if (any) few = all ? &problem : &*few_;
    if (!all) many = any ? &*many_ : &problem;
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  const Problem* few = nullptr;  // decodes
  const Problem* many = nullptr;

 private:
  std::optional<Problem> few_, many_;
};

}  // namespace

std::size_t attention_workspace_bytes(const AttentionKernels& kernels,
                                      const ForwardPrograms& programs, const Problem& problem,
                                      int threads) {
  const Parts parts(problem);
  std::size_t bytes = 0;
  if (parts.few) bytes = decode_workspace_bytes(kernels, programs, *parts.few, threads);
  if (parts.many) {
    bytes = std::max(bytes, forward_workspace_bytes(kernels, programs, *parts.many, threads));
  }
  return bytes;
}

void run_attention(const AttentionKernels& kernels, const ForwardPrograms& programs,
                   const ForwardBindings& bindings, const Problem& problem,
                   const Workspace& workspace, Executor& executor) {
  const Parts parts(problem);
  if (parts.many) run_forward(kernels, programs, bindings, *parts.many, workspace, executor);
  if (parts.few) run_decode(kernels, programs, bindings, *parts.few, workspace, executor);
}

std::string describe_paths(const AttentionKernels& kernels, const Problem& problem) {
  const auto number = [](int64_t n) { return std::to_string(n); };
  const Parts parts(problem);
  std::string text;
  if (parts.many) {
    text += "forward: tiles of up to " + number(max_tile_rows_of(problem)) + " queries x " +
            number(key_step_of(problem)) + " keys; ";
    text += multiplies_pairs(kernels, problem) ? "bf16 multiplied in pairs" : "products in f32";
    text += ", sums in f32\n";
  }
  if (parts.few) {
    text += "decode: up to " + number(problem.group() * parts.few->q_len) +
            " rows a key head, keys and values read in place in pieces of " + number(kDecodePiece) +
            "\n";
  }
  return text;
}

}  // namespace fovea::cpu
