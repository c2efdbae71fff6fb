// x86-64 with AVX2, FMA and F16C.
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "avx2.c must be compiled with -mavx2 -mfma -mf16c"
#endif

// Each needs those before it.
#include "lanes_avx2.h"

#include "gaussian.h"

#include "product_avx2.h"

#include "tile.h"

#include "digital.h"

const Isa isa_avx2 = {
    .name = "avx2",
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run_tile = run_tile,
    .run_vector = run_vector,
    .draw = draw,
};
