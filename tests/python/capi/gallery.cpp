// SPDX-License-Identifier: Apache-2.0
// The masks of the gallery, for tests against torch: each as its program and, position by position, as its
// plain form says.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "common.h"
#include "gallery/variant.h"

using fovea_capi::guarded;
using fovea_capi::require;
namespace gallery = fovea::gallery;

extern "C" {

typedef struct {
  int64_t q_len, kv_len, batch, heads;
} fovea_capi_gallery_shape;

/* Names of the variants that have a mask, a line each. */
FOVEA_CAPI int fovea_capi_gallery_masks(char* buffer, size_t capacity, size_t* needed);
/* Its tables live as long as the library. */
FOVEA_CAPI int fovea_capi_gallery_mask(const char* name, const fovea_capi_gallery_shape* shape,
                                       fovea_capi_program** mask_mod);
/* allowed: (batch, heads, q_len, kv_len), 1 where the plain form lets a query see a key. */
FOVEA_CAPI int fovea_capi_gallery_allowed(const char* name, const fovea_capi_gallery_shape* shape,
                                          uint8_t* allowed);

}  // extern "C"

namespace {

gallery::Variant make(const char* name, const fovea_capi_gallery_shape& shape) {
  gallery::Shape wanted;
  wanted.q_len = shape.q_len;
  wanted.kv_len = shape.kv_len;
  wanted.batch = shape.batch;
  wanted.heads = shape.heads;
  return gallery::make_variant(name, wanted);
}

}  // namespace

extern "C" {

int fovea_capi_gallery_masks(char* buffer, size_t capacity, size_t* needed) {
  return guarded([&] {
    std::string names;
    for (const std::string& name : gallery::variant_names()) {
      if (gallery::make_variant(name, {}).mask_mod) names += name + '\n';
    }
    fovea_capi::copy_text(names, buffer, capacity, needed);
  });
}

int fovea_capi_gallery_mask(const char* name, const fovea_capi_gallery_shape* shape,
                            fovea_capi_program** mask_mod) {
  return guarded([&] {
    require(name && shape && mask_mod,
            "[fovea_capi_gallery_mask] arguments: expected a name, a shape and a place");
    static std::deque<gallery::Variant> kept;
    kept.push_back(make(name, *shape));
    *mask_mod = new fovea_capi_program{kept.back().mask_mod};
  });
}

int fovea_capi_gallery_allowed(const char* name, const fovea_capi_gallery_shape* shape,
                               uint8_t* allowed) {
  return guarded([&] {
    require(name && shape && allowed,
            "[fovea_capi_gallery_allowed] arguments: expected a name, a shape and a place");
    const gallery::Variant variant = make(name, *shape);
    std::vector<float> scores(static_cast<std::size_t>(shape->kv_len));
    for (int64_t b = 0; b < shape->batch; ++b) {
      for (int64_t h = 0; h < shape->heads; ++h) {
        for (int64_t q = 0; q < shape->q_len; ++q) {
          scores.assign(scores.size(), 1.0f);
          variant.plain(scores, {b, h, q});
          for (const float score : scores) *allowed++ = score == gallery::kHidden ? 0 : 1;
        }
      }
    }
  });
}

}  // extern "C"
