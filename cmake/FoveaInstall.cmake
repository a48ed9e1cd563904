# SPDX-License-Identifier: Apache-2.0
# find_package(fovea) and pkg-config for who uses the installed library.

if(NOT FOVEA_INSTALL)
  return()
endif()

include(CMakePackageConfigHelpers)
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/fovea)

install(TARGETS fovea EXPORT foveaTargets)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT foveaTargets NAMESPACE fovea:: DESTINATION ${config_folder})

configure_package_config_file(cmake/foveaConfig.cmake.in foveaConfig.cmake
  INSTALL_DESTINATION ${config_folder})
# While the major version is 0, a minor version may break.
set(compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
endif()
write_basic_package_version_file(foveaConfigVersion.cmake COMPATIBILITY ${compatibility})
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/foveaConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/foveaConfigVersion.cmake
  DESTINATION ${config_folder})

# Relative to the .pc file, so that an install tree may be moved.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
set(pc_private "")
if(NOT BUILD_SHARED_LIBS)
  set(pc_private "-lstdc++ -lm -pthread")
endif()
configure_file(cmake/fovea.pc.in fovea.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fovea.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
