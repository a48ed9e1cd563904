# SPDX-License-Identifier: Apache-2.0
# GoogleTest from the sources that Debian's libgtest-dev brings: there is no build of it for another
# processor. For the preset `neon` alone.

set(sources /usr/src/googletest/googletest)
include(FindPackageHandleStandardArgs)
find_file(FOVEA_GTEST_SOURCE gtest-all.cc PATHS ${sources}/src NO_DEFAULT_PATH
  NO_CMAKE_FIND_ROOT_PATH)
find_package_handle_standard_args(GTest REQUIRED_VARS FOVEA_GTEST_SOURCE)
if(NOT GTest_FOUND OR TARGET GTest::gtest_main)
  return()
endif()
find_package(Threads REQUIRED)
add_library(fovea_gtest_main STATIC EXCLUDE_FROM_ALL
  ${FOVEA_GTEST_SOURCE} ${sources}/src/gtest_main.cc)
target_compile_features(fovea_gtest_main PUBLIC cxx_std_20)
target_include_directories(fovea_gtest_main SYSTEM
  PUBLIC ${sources}/include PRIVATE ${sources})
target_link_libraries(fovea_gtest_main PUBLIC Threads::Threads)
add_library(GTest::gtest_main ALIAS fovea_gtest_main)
