#include "isa.h"

#include <string.h>
#ifdef HAVE_AVX2
#include <cpuid.h>
#endif

// What was compiled, the fastest first. A CPU that has one of them has all that follow.
static const Isa *const compiled[] = {
#ifdef HAVE_AVX512
    &isa_avx512,
#endif
#ifdef HAVE_AVX2
    &isa_avx2,
#endif
#ifdef HAVE_NEON
    &isa_neon,
#endif
    &isa_portable,
};

#ifdef HAVE_AVX2
// Not all compilers know it as a feature for __builtin_cpu_supports.
static int has_f16c(void) {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_F16C;
}
#endif

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
static int supported(const Isa *isa) {
#ifdef HAVE_AVX2
  if (isa == &isa_avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#endif
#ifdef HAVE_AVX512
  if (isa == &isa_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && supported(&isa_avx2);
#endif
  return isa != NULL; // portable C, and on AArch64 the NEON that is part of it
}

const Isa *const *available_isas(int *count) {
  const int all = (int)(sizeof compiled / sizeof *compiled);
  int first = 0;
#ifdef HAVE_AVX2
  __builtin_cpu_init();
#endif
  while (!supported(compiled[first])) first++;
  *count = all - first;
  return compiled + first;
}

const Isa *find_isa(const char *name) {
  int count;
  const Isa *const *isas = available_isas(&count);
  for (int k = 0; k < count; k++)
    if (!strcmp(isas[k]->name, name)) return isas[k];
  return NULL;
}
