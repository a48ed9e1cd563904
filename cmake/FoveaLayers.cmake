# SPDX-License-Identifier: Apache-2.0
# A layer is a folder of src/ and a target of its own, so that its tests link nothing above it.

set(FOVEA_LAYERS "")
set(FOVEA_SHARED_DEFINITION $<$<BOOL:${BUILD_SHARED_LIBS}>:FOVEA_SHARED>)

# Adds fovea_<name> from src/<name>: object files that see the layers added before. A folder without
# sources makes a layer of headers.
function(fovea_add_layer name)
  set(target fovea_${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  set(kernels ${sources})
  list(FILTER kernels INCLUDE REGEX "_isa\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_isa\\.cpp$")

  if(sources)
    add_library(${target} OBJECT ${sources})
    fovea_compile(${target})
    target_include_directories(${target} PUBLIC
      ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${target} PRIVATE FOVEA_BUILDING PUBLIC ${FOVEA_SHARED_DEFINITION})
    target_link_libraries(${target} PUBLIC Threads::Threads)
    if(kernels OR name STREQUAL cpu)
      fovea_target_isa_sources(${target} ${kernels})
    endif()
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE
      ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  endif()
  set(FOVEA_LAYERS ${FOVEA_LAYERS} ${name} PARENT_SCOPE)
endfunction()

# Links `target` with layer `name` and all below it. Object files are passed on to direct users only,
# so each layer is named.
function(fovea_link_layers target name)
  foreach(layer IN LISTS FOVEA_LAYERS)
    target_link_libraries(${target} PRIVATE fovea_${layer})
    if(layer STREQUAL name)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "fovea_link_layers: no layer is called ${name}")
endfunction()

# The library: src/api*.cpp and all layers.
function(fovea_add_library)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/api*.cpp)
  add_library(fovea ${sources})
  add_library(fovea::fovea ALIAS fovea)
  fovea_compile(fovea)
  foreach(layer IN LISTS FOVEA_LAYERS)
    get_target_property(type fovea_${layer} TYPE)
    if(type STREQUAL OBJECT_LIBRARY)
      target_sources(fovea PRIVATE
        $<TARGET_OBJECTS:fovea_${layer}> $<TARGET_PROPERTY:fovea_${layer},INTERFACE_SOURCES>)
    endif()
  endforeach()
  target_include_directories(fovea
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(fovea PRIVATE FOVEA_BUILDING PUBLIC ${FOVEA_SHARED_DEFINITION})
  target_link_libraries(fovea PRIVATE Threads::Threads)
  set_target_properties(fovea PROPERTIES
    LINKER_LANGUAGE CXX  # as long as there is a layer without sources
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
endfunction()
