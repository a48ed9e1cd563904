# SPDX-License-Identifier: Apache-2.0
# Installs BUILD into a folder of its own, and configures, builds and runs a program that uses it.
# With MODE subdirectory: only configures one that adds the source tree.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(JOIN " " command ${ARGN})
    message(FATAL_ERROR "${command}\n${output}")
  endif()
endfunction()

set(folder ${BUILD}/install-test/${MODE})
file(REMOVE_RECURSE ${folder})
set(configure ${CMAKE_COMMAND} -S ${SOURCE}/tests/install -B ${folder}/build -G ${GENERATOR}
  -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_BUILD_TYPE=${CONFIG})

if(MODE STREQUAL "subdirectory")
  run(${configure} -D FOVEA_SOURCE=${SOURCE})
else()
  run(${CMAKE_COMMAND} --install ${BUILD} --config ${CONFIG} --prefix ${folder}/prefix)
  # Moved before use: nothing in it may name the place where it was built.
  file(RENAME ${folder}/prefix ${folder}/moved)
  run(${configure} -D CMAKE_PREFIX_PATH=${folder}/moved)
  run(${CMAKE_COMMAND} --build ${folder}/build --config ${CONFIG})
  run(${folder}/build/consumer)
endif()
