# SPDX-License-Identifier: Apache-2.0
# Succeeds if COMPILER refuses SOURCE, and says what the first line of SOURCE expects.

file(STRINGS ${SOURCE} first LIMIT_COUNT 1)
if(NOT first MATCHES "^// expect: (.+)$")
  message(FATAL_ERROR "${SOURCE}:1: expected `// expect: <regular expression>`, got `${first}`")
endif()
set(expected "${CMAKE_MATCH_1}")

execute_process(
  COMMAND ${COMPILER} -std=c++20 -fsyntax-only -I ${INCLUDE} ${SOURCE}
  RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, and must not")
endif()
if(NOT output MATCHES "${expected}")
  message(FATAL_ERROR "${SOURCE}: the compiler does not say `${expected}`, but:\n${output}")
endif()
