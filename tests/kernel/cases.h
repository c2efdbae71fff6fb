// Generated cases, each of which compares an instruction set with what is right and describes the
// first difference on stderr.
#ifndef ANACC_TEST_CASES_H
#define ANACC_TEST_CASES_H

#include "generate.h"

// Whether `isa` computes the case that `random` generates as it must. The last argument is a
// cleared Memory, which the caller releases.
int check_tile(const Isa *isa, Random random, Memory *memory);
int check_vector(const Isa *isa, Random random, Memory *memory);
int check_draw(const Isa *isa, Random random, Memory *memory);

#endif
