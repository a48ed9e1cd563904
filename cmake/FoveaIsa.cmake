# SPDX-License-Identifier: Apache-2.0
# Kernel sources (*_isa.cpp) are compiled once for each instruction set of the target processor, each
# time into another namespace. The table in src/cpu picks one at run time.

include(CheckCXXCompilerFlag)
include(CheckCXXSourceRuns)

# Whether this processor has the instruction set. For builds with a sanitizer, where each takes minutes to
# compile: not for nothing.
function(fovea_check_has_isa name result)
  set(feature_avx2 avx2)
  set(feature_avx512 avx512f)
  set(feature_avx512_bf16 avx512bf16)
  if(NOT DEFINED feature_${name} OR CMAKE_CROSSCOMPILING)
    set(${result} ON PARENT_SCOPE)
    return()
  endif()
  check_cxx_source_runs(
    "int main() { return __builtin_cpu_supports(\"${feature_${name}}\") ? 0 : 1; }" ${result})
endfunction()

# fovea_isa(<name> <flags>...) adds an instruction set, if the compiler knows the flags.
set(FOVEA_ISAS "")
macro(fovea_isa name)
  string(JOIN " " flags ${ARGN})
  if(NOT flags STREQUAL "")
    check_cxx_compiler_flag("${flags}" FOVEA_COMPILES_${name})
  else()
    set(FOVEA_COMPILES_${name} ON)
  endif()
  set(FOVEA_HAS_${name} ON)
  if(FOVEA_SANITIZE)
    unset(FOVEA_HAS_${name})
    fovea_check_has_isa(${name} FOVEA_HAS_${name})
  endif()
  if(FOVEA_COMPILES_${name} AND FOVEA_HAS_${name})
    list(APPEND FOVEA_ISAS ${name})
    set(FOVEA_ISA_FLAGS_${name} ${ARGN})
  endif()
endmacro()

fovea_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  # Compilers prefer 256 bits at this level, from the time when 512 lowered the clock.
  set(avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  fovea_isa(avx2 -march=x86-64-v3)
  fovea_isa(avx512 ${avx512})
  fovea_isa(avx512_bf16 ${avx512} -mavx512bf16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  fovea_isa(neon)
endif()

# What kernels are compiled with. Not -ffast-math: infinities mean something here, and sums keep their
# order. Kernels throw nothing; without exceptions they leave no weak personality symbols either.
set(FOVEA_KERNEL_FLAGS -ffp-contract=fast -fno-math-errno -fno-trapping-math -fno-exceptions)
if(FOVEA_SANITIZE)
  list(APPEND FOVEA_KERNEL_FLAGS -O1)  # -O3 under a sanitizer compiles for minutes and runs no faster
else()
  list(APPEND FOVEA_KERNEL_FLAGS -O3)
endif()

# Adds the kernel `sources` to `target`, once for each instruction set, and tells the target's other
# sources which there are: FOVEA_HAVE_ISA_AVX2 and so on.
function(fovea_target_isa_sources target)
  set(sources ${ARGN})
  # An object library hands its own objects on, and others only as sources of its users.
  set(scope INTERFACE)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)
    set(scope PRIVATE)
  endif()
  foreach(isa IN LISTS FOVEA_ISAS)
    string(TOUPPER ${isa} ISA)
    target_compile_definitions(${target} PUBLIC FOVEA_HAVE_ISA_${ISA}=1)
    if(sources)
      set(objects ${target}_isa_${isa})
      add_library(${objects} OBJECT ${sources})
      fovea_compile(${objects})
      target_include_directories(${objects} PRIVATE
        $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
      target_compile_definitions(${objects} PRIVATE
        FOVEA_BUILDING FOVEA_ISA_NAMESPACE=${isa} FOVEA_ISA_${ISA}=1)
      target_compile_options(${objects} PRIVATE ${FOVEA_KERNEL_FLAGS} ${FOVEA_ISA_FLAGS_${isa}})
      target_sources(${target} ${scope} $<TARGET_OBJECTS:${objects}>)
    endif()
  endforeach()
endfunction()
