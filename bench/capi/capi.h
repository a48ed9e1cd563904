/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A C interface over fovea for benchmarks and tests that are driven from Python (ctypes). It is not
 * installed and makes no promise of stability.
 *
 * Every function that can fail returns a fovea_capi_status; no C++ exception crosses this boundary.
 * fovea_capi_last_error() then says what went wrong on this thread. Handles are opaque, freed by
 * the matching _free function, and own no tensor memory: the caller's arrays must outlive them. */

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define FOVEA_CAPI __declspec(dllexport)
#else
#define FOVEA_CAPI __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  FOVEA_CAPI_OK = 0,
  FOVEA_CAPI_INVALID_ARGUMENT = 1,
  FOVEA_CAPI_UNSUPPORTED = 2,
  FOVEA_CAPI_COMPILE_ERROR = 3,
  FOVEA_CAPI_INTERNAL_ERROR = 4,
  FOVEA_CAPI_OTHER = 5 /* not one of fovea's own: out of memory, for instance */
} fovea_capi_status;

/* `dtype` counts in the order of fovea::DType; rank 0 with no data means "no tensor". */
typedef struct {
  void* data;
  int32_t dtype;
  int32_t rank;
  int64_t sizes[16];
  int64_t strides[16];
} fovea_capi_tensor;

typedef struct fovea_capi_program fovea_capi_program;
typedef struct fovea_capi_block_mask fovea_capi_block_mask;
typedef struct fovea_capi_executor fovea_capi_executor;

/* One flex_attention call. Null handles mean what empty options mean in C++. */
typedef struct {
  fovea_capi_tensor query, key, value, out, lse;
  const fovea_capi_program* score_mod;
  const fovea_capi_block_mask* block_mask;
  const fovea_capi_executor* executor;
  double scale; /* NaN: 1/sqrt(head_dim) */
  void* workspace;
  size_t workspace_bytes;
  const char* backend; /* NULL: the first that can */
} fovea_capi_call;

/* Its gradients. The call's out and lse are what forward gave; tensors that are absent are not wanted. */
typedef struct {
  fovea_capi_tensor dout, dquery, dkey, dvalue;
  const fovea_capi_tensor* dcaptures; /* of score_mod, by slot */
  int32_t capture_count;
  void* workspace;
  size_t workspace_bytes;
} fovea_capi_backward;

typedef struct {
  int64_t q_len, kv_len, batch, heads, block_q, block_kv;
} fovea_capi_block_mask_options;

typedef struct {
  int64_t q_len, kv_len, batch, heads; /* stored planes */
  int64_t full, partial, skipped, rows, columns, memory_bytes;
  int64_t boxes, leaves, leaf_evaluations;
} fovea_capi_block_mask_info;

#define FOVEA_CAPI_NONE INT64_MIN /* an absent number */

/* Index tensors in PyTorch's form, in memory of the caller (shapes: fovea::PaddedLists). */
typedef struct {
  int32_t *kv_num_blocks, *kv_indices, *full_kv_num_blocks, *full_kv_indices;
  int32_t *q_num_blocks, *q_indices, *full_q_num_blocks, *full_q_indices;
} fovea_capi_padded_lists;

typedef struct {
  fovea_capi_tensor kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices;
  int64_t block_q, block_kv;
  int64_t q_len, kv_len; /* FOVEA_CAPI_NONE: from the shapes */
} fovea_capi_kv_blocks;

/* One axis: a list if there is one, else a slice, whose begin and end may be FOVEA_CAPI_NONE. */
typedef struct {
  const int64_t* list;
  int64_t count;
  int64_t begin, end, step;
} fovea_capi_block_index;

typedef enum { FOVEA_CAPI_AND = 0, FOVEA_CAPI_OR = 1, FOVEA_CAPI_NOT = 2 } fovea_capi_combination;

typedef enum {
  FOVEA_CAPI_ADJUSTED = 0,     /* x, y: q_len, kv_len */
  FOVEA_CAPI_DECODE_SLICE = 1, /* position, count */
  FOVEA_CAPI_EXPANDED = 2,     /* batch, heads */
  FOVEA_CAPI_TRANSPOSED = 3,
  FOVEA_CAPI_WITHOUT_FULL_BLOCKS = 4
} fovea_capi_change;

/* The message of the last failure on this thread; "" if there was none. */
FOVEA_CAPI const char* fovea_capi_last_error(void);

/* Texts are returned by copying: at most `capacity` bytes with the final zero; *needed is the size
 * that the whole text wants. A null buffer asks for the size alone. */

FOVEA_CAPI int fovea_capi_parse(const char* text, const fovea_capi_tensor* captures, int32_t count,
                                fovea_capi_program** program);
/* Traces a C++ lambda (T5 buckets, ALiBi, softcap; about 30 nodes). A new `divisor` makes a new
 * structure, which nothing has cached. table: (buckets, heads) f32; slopes: (heads) f32. */
FOVEA_CAPI int fovea_capi_trace_example(int64_t divisor, const fovea_capi_tensor* table,
                                        const fovea_capi_tensor* slopes,
                                        fovea_capi_program** program);
FOVEA_CAPI int fovea_capi_program_text(const fovea_capi_program* program, char* buffer,
                                       size_t capacity, size_t* needed);
FOVEA_CAPI void fovea_capi_program_free(fovea_capi_program* program);

FOVEA_CAPI int fovea_capi_create_block_mask(const fovea_capi_program* mask_mod,
                                            const fovea_capi_block_mask_options* options,
                                            fovea_capi_block_mask** mask);
FOVEA_CAPI int fovea_capi_block_mask_describe(const fovea_capi_block_mask* mask,
                                              fovea_capi_block_mask_info* info);
/* kinds[row * columns + column] = 0 skipped, 1 partial, 2 full, for plane (b, h). */
FOVEA_CAPI int fovea_capi_block_mask_kinds(const fovea_capi_block_mask* mask, int64_t b, int64_t h,
                                           uint8_t* kinds);
FOVEA_CAPI int fovea_capi_block_mask_lists(const fovea_capi_block_mask* mask,
                                           const fovea_capi_padded_lists* lists);
FOVEA_CAPI int fovea_capi_block_mask_from_kv_blocks(const fovea_capi_kv_blocks* blocks,
                                                    const fovea_capi_program* mask_mod,
                                                    fovea_capi_block_mask** mask);
/* batch_heads_rows: three of them. */
FOVEA_CAPI int fovea_capi_block_mask_index(const fovea_capi_block_mask* mask,
                                           const fovea_capi_block_index* batch_heads_rows,
                                           fovea_capi_block_mask** result);
FOVEA_CAPI int fovea_capi_block_mask_combine(int32_t operation, const fovea_capi_block_mask* a,
                                             const fovea_capi_block_mask* b,
                                             fovea_capi_block_mask** result);
FOVEA_CAPI int fovea_capi_block_mask_change(int32_t operation, const fovea_capi_block_mask* mask,
                                            int64_t x, int64_t y, fovea_capi_block_mask** result);
/* Its summary, and a picture of plane (0, 0). */
FOVEA_CAPI int fovea_capi_block_mask_text(const fovea_capi_block_mask* mask, char* buffer,
                                          size_t capacity, size_t* needed);
/* allowed: batch x heads x q_len x kv_len bytes. The block sizes of `options` mean nothing here. */
FOVEA_CAPI int fovea_capi_create_mask(const fovea_capi_program* mod,
                                      const fovea_capi_block_mask_options* options,
                                      uint8_t* allowed);
FOVEA_CAPI void fovea_capi_block_mask_free(fovea_capi_block_mask* mask);

FOVEA_CAPI int fovea_capi_executor_create(int32_t threads, fovea_capi_executor** executor);
FOVEA_CAPI void fovea_capi_executor_free(fovea_capi_executor* executor);
FOVEA_CAPI int fovea_capi_default_threads(int32_t* threads);

FOVEA_CAPI int fovea_capi_flex_attention(const fovea_capi_call* call);
/* chunked_attention of the call's tensors, which have heads before the length; without its mods. */
FOVEA_CAPI int fovea_capi_chunked_attention(const fovea_capi_call* call, int64_t query_chunk,
                                            int64_t key_chunk);
FOVEA_CAPI int fovea_capi_workspace_bytes(const fovea_capi_call* call, size_t* bytes);
FOVEA_CAPI int fovea_capi_prepare(const fovea_capi_call* call);
FOVEA_CAPI int fovea_capi_explain(const fovea_capi_call* call, char* buffer, size_t capacity,
                                  size_t* needed);
FOVEA_CAPI int fovea_capi_reference(const fovea_capi_call* call);
/* out: value head_dim doubles. */
FOVEA_CAPI int fovea_capi_reference_row(const fovea_capi_call* call, int64_t b, int64_t h,
                                        int64_t q, double* out, double* lse);
/* Nanoseconds a call of `count` calls in a row, without the cost of crossing from Python. */
FOVEA_CAPI int fovea_capi_repeat(const fovea_capi_call* call, int64_t count, double* nanoseconds);

FOVEA_CAPI int fovea_capi_flex_attention_backward(const fovea_capi_call* call,
                                                  const fovea_capi_backward* backward);
FOVEA_CAPI int fovea_capi_backward_workspace_bytes(const fovea_capi_call* call,
                                                   const fovea_capi_backward* backward,
                                                   size_t* bytes);

FOVEA_CAPI int fovea_capi_measure_fma_peak(int32_t threads, double* flops);
/* One line a backend: name, availability, detail. */
FOVEA_CAPI int fovea_capi_backends(char* buffer, size_t capacity, size_t* needed);

#ifdef __cplusplus
}
#endif
