// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Everything: include this one.
#include <fovea/attention.h>
#include <fovea/attention_backward.h>
#include <fovea/block_mask.h>
#include <fovea/block_mask_file.h>
#include <fovea/chunked_attention.h>
#include <fovea/config.h>
#include <fovea/dropout.h>
#include <fovea/dtype.h>
#include <fovea/error.h>
#include <fovea/executor.h>
#include <fovea/hash.h>
#include <fovea/merge.h>
#include <fovea/program.h>
#include <fovea/random.h>
#include <fovea/tensor.h>
#include <fovea/value.h>
#include <fovea/vector.h>
#include <fovea/version.h>
