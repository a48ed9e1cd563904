# SPDX-License-Identifier: Apache-2.0
# How every target of this repository is compiled.

foreach(least IN ITEMS "GNU 12" "Clang 14")
  string(REGEX MATCH "^(.+) (.+)$" _ ${least})
  if(CMAKE_CXX_COMPILER_ID STREQUAL CMAKE_MATCH_1
     AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS CMAKE_MATCH_2)
    message(FATAL_ERROR "fovea: compiler too old: expected ${least} or later, "
                        "got ${CMAKE_CXX_COMPILER_VERSION}")
  endif()
endforeach()

find_package(Threads REQUIRED)
include(GNUInstallDirs)

# Sanitizers and coverage must reach every object file, and matter to nobody but developers.
if(FOVEA_SANITIZE)
  # GCC loses track of initialization in instrumented code (it sees some inside its own <regex>).
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_compile_options(-fsanitize=${FOVEA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FOVEA_SANITIZE})
  if(FOVEA_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()
if(FOVEA_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FOVEA_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

function(fovea_compile target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    # Static too: Python extensions and the benchmarks' library link it into a shared object.
    POSITION_INDEPENDENT_CODE ON)
  if(PROJECT_IS_TOP_LEVEL)
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wswitch-enum
      # GCC 12 sees overlapping copies in "text" + std::string (its bug 105651).
      $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
      # Functions that take wide vectors are inlined, always; see src/cpu/simd.h.
      -Wno-psabi
      $<$<BOOL:${FOVEA_DEVELOPER}>:-Werror>)
  endif()
endfunction()
