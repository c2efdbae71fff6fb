// The instruction sets that this CPU and its operating system support.
#ifndef ANACC_ISA_H
#define ANACC_ISA_H

#include "kernel.h"

// All of them, the fastest first; the last one is isa_portable.
const Isa *const *available_isas(int *count);

// The one with this name; NULL if there is none here.
const Isa *find_isa(const char *name);

#endif
