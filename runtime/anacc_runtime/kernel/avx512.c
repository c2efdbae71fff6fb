// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
#if !defined(__AVX512BW__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__) ||                  \
    !defined(__AVX512VNNI__)
#error "avx512.c must be compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni"
#endif

// Each needs those before it.
#include "lanes_avx512.h"

#include "gaussian.h"

#include "product_avx512.h"

#include "tile.h"

#include "digital.h"

const Isa isa_avx512 = {
    .name = "avx512",
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run_tile = run_tile,
    .run_vector = run_vector,
    .draw = draw,
};
