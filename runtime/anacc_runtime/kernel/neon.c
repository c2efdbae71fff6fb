// AArch64 with the Advanced SIMD that is part of it.
#include "lanes_neon.h"

#include "gaussian.h"

#include "product_neon.h"

#include "tile.h"

#include "digital.h"

const Isa isa_neon = {
    .name = "neon",
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run_tile = run_tile,
    .run_vector = run_vector,
    .draw = draw,
};
