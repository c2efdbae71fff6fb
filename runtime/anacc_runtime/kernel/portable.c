// Plain C, for every CPU.
// Each needs those before it.
#include "lanes_portable.h"

#include "gaussian.h"

#include "product_portable.h"

#include "tile.h"

#include "digital.h"

const Isa isa_portable = {
    .name = "portable",
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run_tile = run_tile,
    .run_vector = run_vector,
    .draw = draw,
};
