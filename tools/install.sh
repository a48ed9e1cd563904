# SPDX-License-Identifier: Apache-2.0
# For ./run: what is missing gets installed, or named in one line. Nothing is looked up twice.
# shellcheck shell=bash

oldest_cmake=3.25
fallback_cmake=3.31.10  # from PyPI, where the system's is older

fail() {
  printf './run: %s\n' "$*" >&2
  exit 1
}

has_header() { printf '#include <%s>\n' "$1" | "${CXX:-g++}" -E -x c++ - >/dev/null 2>&1; }

# Is what PACKAGE brings here, from whatever source?
is_present() {
  case $1 in
    g++) command -v "${CXX:-g++}" >/dev/null ;;
    cmake) command -v cmake >/dev/null ;;
    ninja-build) command -v ninja >/dev/null ;;
    clang) command -v clang++ >/dev/null ;;
    g++-aarch64-linux-gnu) command -v aarch64-linux-gnu-g++ >/dev/null ;;
    qemu-user-static) command -v qemu-aarch64-static qemu-aarch64 >/dev/null ;;
    googletest) [[ -f /usr/src/googletest/googletest/src/gtest-all.cc ]] ;;
    libgtest-dev) has_header gtest/gtest.h ;;
    libcli11-dev) has_header CLI/CLI.hpp ;;
    libfmt-dev) has_header fmt/core.h ;;
    nlohmann-json3-dev) has_header nlohmann/json.hpp ;;
    libpng-dev) has_header png.h ;;
    python3) command -v python3 >/dev/null ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) false ;;
  esac
}

# need_packages PACKAGE ...: names as in Debian and Ubuntu.
need_packages() {
  local package missing=() become=()
  # One query answers for all that came as packages.
  local installed
  installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
  for package in "$@"; do
    [[ $installed == *" installed:$package "* ]] || is_present "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  command -v apt-get >/dev/null || fail "please install ${missing[*]} (Debian's names; no apt-get here)"
  if ((EUID != 0)); then
    # Asking for a password is fine where somebody can type it.
    command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; } ||
      fail "please run as root: apt-get install ${missing[*]}"
    become=(sudo)
  fi
  printf 'installing %s\n' "${missing[*]}"
  local log
  log=$(mktemp)
  {
    "${become[@]}" apt-get update -q &&
      "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; fail "apt-get install ${missing[*]} failed"; }
  rm -f "$log"
}

# need_venv FOLDER REQUIREMENTS: a virtual environment with exactly these.
need_venv() {
  local folder=$1 requirements=$2
  cmp -s "$requirements" "$folder/installed.txt" && return 0
  need_packages python3 python3-venv
  printf 'installing %s into %s\n' "$(grep -v '^#' "$requirements" | xargs)" "$folder"
  rm -rf "$folder"  # not venv's --clear, which follows a link and empties somebody else's
  python3 -m venv "$folder"
  "$folder/bin/pip" install -q --disable-pip-version-check -r "$requirements" ||
    fail "pip could not install $requirements into $folder"
  cp "$requirements" "$folder/installed.txt"
}

# clang with the runtimes of its sanitizers, which are a package of their own in some releases.
need_clang() {
  need_packages clang
  printf 'int main() {}\n' | clang++ -fsanitize=address -x c++ - -o /dev/null 2>/dev/null && return 0
  local version
  version=$(clang++ -dumpversion)
  need_packages "libclang-rt-${version%%.*}-dev"
}

need_to_build() {
  need_packages g++ cmake ninja-build
  local version
  version=$(cmake --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
  printf '%s\n' "$oldest_cmake" "$version" | sort -C -V && return 0
  need_venv .venv tools/requirements.txt
  [[ -x .venv/bin/cmake ]] || {
    printf 'installing cmake %s into .venv, because %s is too old\n' "$fallback_cmake" "$version"
    .venv/bin/pip install -q --disable-pip-version-check "cmake==$fallback_cmake"
  }
  PATH=$PWD/.venv/bin:$PATH
}
