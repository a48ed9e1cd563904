# SPDX-License-Identifier: Apache-2.0
# For ./run check: a function a step. Each is one list of commands joined by &&, because the caller
# tests its status and bash ignores `set -e` there.
# shellcheck shell=bash

# The cheap ones first.
check_steps=(format layers size docs symbols neon asan tsan fuzz)

list_cpp() { python3 tools/list_files.py .h .cpp .def .cu .cuh; }

check_format() {
  need_venv .venv tools/requirements.txt &&
    list_cpp | xargs -0 .venv/bin/clang-format --dry-run -Werror &&
    .venv/bin/ruff check --quiet . &&
    .venv/bin/ruff format --quiet --check .
}
check_layers() { python3 tools/check_layers.py; }
check_size() { python3 tools/check_file_size.py; }
check_docs() { python3 tools/check_docs_paths.py; }

# The kernels as they are shipped.
check_symbols() { build release fovea && python3 tools/check_symbols.py build/release; }

# Cross-compiled and emulated, with fewer random cases. The baseline of this processor has the same
# instructions: only the public functions run with both. On a 64-bit ARM machine ./run test is this.
check_neon() {
  [[ $(uname -m) == aarch64 ]] && return
  build neon test_core test_attention test_cpu test_api &&
    FOVEA_TEST_CASES=8 ctest --preset neon -j "$(nproc)" &&
    FOVEA_ISA=baseline ctest --preset neon -j "$(nproc)" -R 'Attention\w*\.'
}

# With clang, so that a second compiler's warnings are errors, too.
check_asan() {
  build asan-ubsan && ctest --preset asan-ubsan -j "$(nproc)"
}

# With g++; the tests that run threads.
check_tsan() {
  build tsan || return
  # The thread sanitizer of older compilers cannot stand the address layouts of newer kernels.
  local fixed_layout=(setarch "$(uname -m)" -R)
  "${fixed_layout[@]}" true 2>/dev/null || fixed_layout=()
  "${fixed_layout[@]}" ctest --preset tsan -j "$(nproc)"
}

# Half a minute for each target of tests/fuzz. What it finds stays in build/fuzz for the next time.
check_fuzz() {
  local source name names=()
  for source in tests/fuzz/*.cpp; do
    name=$(basename "$source" .cpp)
    [[ $name == seeded_main ]] || names+=("$name")
  done
  build fuzz "${names[@]/#/fuzz_}" || return
  for name in "${names[@]}"; do
    mkdir -p "build/fuzz/found/$name"
    "build/fuzz/tests/fuzz_$name" -max_total_time=30 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/failed-$name-" \
      "build/fuzz/found/$name" "tests/fuzz/corpus/$name" || return
  done
}

# One line a step; the log only of the one that fails.
run_step() {
  local name=$1 start=$SECONDS log=build/check/$1.log
  local green='' red='' plain=''
  if [[ -t 1 ]]; then
    green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
    printf '%-8s ...' "$name"
  fi
  # In a shell of its own: a step that exits must not end this one, which shows the log.
  if ("check_$name") >"$log" 2>&1 </dev/null; then
    printf '%s%-8s %sok%s %5d s\n' "${green:+$'\r'}" "$name" "$green" "$plain" $((SECONDS - start))
  else
    printf '%s%-8s %sFAILED%s %d s\n' "${red:+$'\r'}" "$name" "$red" "$plain" $((SECONDS - start))
    tail -n 100 "$log"
    printf '\n./run check %s failed; the whole log: %s\n' "$name" "$log"
    exit 1
  fi
}

run_check() {
  local name steps=("$@")
  ((${#steps[@]})) || steps=("${check_steps[@]}")
  for name in "${steps[@]}"; do
    [[ " ${check_steps[*]} " == *" $name "* ]] ||
      fail "check step: expected one of ${check_steps[*]}, got $name"
  done
  # Before the steps, whose output is a log: installing may ask for a password.
  need_packages python3
  need_to_build
  need_packages libgtest-dev libcli11-dev libfmt-dev nlohmann-json3-dev libpng-dev
  [[ " ${steps[*]} " =~ " "(asan|fuzz)" " ]] && need_clang
  [[ " ${steps[*]} " =~ " neon " && $(uname -m) != aarch64 ]] &&
    need_packages g++-aarch64-linux-gnu qemu-user-static googletest
  mkdir -p build/check
  for name in "${steps[@]}"; do run_step "$name"; done
}
