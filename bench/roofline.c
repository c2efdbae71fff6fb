// What this CPU can do at most: multiply-adds per second of the instructions that kernels use, with
// all operands in registers, and bytes read per second from a buffer.
//
// Each measurement is one thread's; the caller runs it in as many threads as it asks about.

#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) || defined(__i386__)
#define X86 1
#include <immintrin.h>
#endif

// Independent sums: enough that no instruction waits for the one before it, few enough that 16
// registers hold them with all else.
enum { CHAINS = 12, STEPS = 4096 };

static volatile uint64_t sink;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef X86

// A function that does `instructions` for CHAINS sums, STEPS times. They work on two sums at a time
// (%0 and %1), so that neighbours do not wait for each other, and have two temporaries (%2, %3), an
// input (%4) and a weight (%5), all of them registers. The weight also stands in for the ones by
// which pairs are widened, and the input for its absolute value: what they hold does not matter.
#define DEFINE_PRODUCT(name, isa, Vector, instructions)                                            \
  __attribute__((target(isa))) static void name(void) {                                            \
    Vector sums[CHAINS] = {{0}}, t, u, x = {0}, w = {0};                                            \
    _Pragma("GCC unroll 4") for (int i = 0; i < STEPS; i++) {                                      \
      _Pragma("GCC unroll 8") for (int k = 0; k < CHAINS; k += 2)                                  \
        __asm__ volatile(instructions                                                              \
                         : "+x"(sums[k]), "+x"(sums[k + 1]), "=&x"(t), "=&x"(u)                    \
                         : "x"(x), "x"(w));                                                        \
    }                                                                                              \
  }

#define FMA "vfmadd231ps %5, %4, %0\n vfmadd231ps %5, %4, %1"
#define MADD_WORDS                                                                                 \
  "vpmaddwd %5, %4, %2\n vpmaddwd %5, %4, %3\n vpaddd %2, %0, %0\n vpaddd %3, %1, %1"
// From pairs in 16 bits to sums in 32.
#define WIDEN                                                                                      \
  "vpmaddwd %5, %2, %2\n vpmaddwd %5, %3, %3\n vpaddd %2, %0, %0\n vpaddd %3, %1, %1"
// Inputs are not negative.
#define MADD_BYTES "vpmaddubsw %5, %4, %2\n vpmaddubsw %5, %4, %3\n" WIDEN
// They are: |x| times w with the sign of x.
#define MADD_SIGNED_BYTES                                                                          \
  "vpsignb %4, %5, %2\n vpsignb %4, %5, %3\n vpmaddubsw %2, %4, %2\n vpmaddubsw %3, %4, %3\n" WIDEN
#define DOT_BYTES "vpdpbusd %5, %4, %0\n vpdpbusd %5, %4, %1"
#define DOT_WORDS "vpdpwssd %5, %4, %0\n vpdpwssd %5, %4, %1"

DEFINE_PRODUCT(fma_256, "avx2,fma", __m256, FMA)
DEFINE_PRODUCT(fma_512, "avx512f", __m512, FMA)
DEFINE_PRODUCT(madd_words_256, "avx2", __m256i, MADD_WORDS)
DEFINE_PRODUCT(madd_words_512, "avx512bw", __m512i, MADD_WORDS)
DEFINE_PRODUCT(madd_bytes_256, "avx2", __m256i, MADD_BYTES)
DEFINE_PRODUCT(madd_signed_bytes_256, "avx2", __m256i, MADD_SIGNED_BYTES)
DEFINE_PRODUCT(dot_bytes_256, "avx512vnni,avx512vl", __m256i, DOT_BYTES)
DEFINE_PRODUCT(dot_bytes_512, "avx512vnni", __m512i, DOT_BYTES)
DEFINE_PRODUCT(dot_words_256, "avx512vnni,avx512vl", __m256i, DOT_WORDS)
DEFINE_PRODUCT(dot_words_512, "avx512vnni", __m512i, DOT_WORDS)

static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }
static int has_fma(void) { return has_avx2() && __builtin_cpu_supports("fma"); }
static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
static int has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

#endif

typedef struct {
  const char *name;
  int width; // multiply-adds of one step of one chain
  int (*available)(void);
  void (*run)(void);
} Product;

static const Product PRODUCTS[] = {
#ifdef X86
  {"vfmadd231ps ymm", 8, has_fma, fma_256},
  {"vfmadd231ps zmm", 16, has_avx512, fma_512},
  {"vpmaddwd + vpaddd ymm", 16, has_avx2, madd_words_256},
  {"vpmaddwd + vpaddd zmm", 32, has_avx512, madd_words_512},
  {"vpmaddubsw + vpmaddwd + vpaddd ymm", 32, has_avx2, madd_bytes_256},
  {"vpsignb + vpmaddubsw + vpmaddwd + vpaddd ymm", 32, has_avx2, madd_signed_bytes_256},
  {"vpdpbusd ymm", 32, has_vnni, dot_bytes_256},
  {"vpdpbusd zmm", 64, has_vnni, dot_bytes_512},
  {"vpdpwssd ymm", 16, has_vnni, dot_words_256},
  {"vpdpwssd zmm", 32, has_vnni, dot_words_512},
#endif
  {NULL, 0, NULL, NULL},
};

// The name of a product, NULL beyond the last one.
const char *product_name(int index) { return PRODUCTS[index].name; }

// Whether this CPU has its instructions.
int product_available(int index) { return PRODUCTS[index].available(); }

// Multiply-adds per second in about `seconds`.
double product_rate(int index, double seconds) {
  const Product *product = &PRODUCTS[index];
  double start = now(), elapsed;
  int64_t calls = 0;
  do {
    product->run();
    calls++;
    elapsed = now() - start;
  } while (elapsed < seconds);
  return (double)calls * STEPS * CHAINS * product->width / elapsed;
}

// Additions per second where each waits for the one before: the clock, in cycles per second.
double clock_rate(double seconds) {
  double start = now(), elapsed;
  uint64_t sum = 0, one = 1;
  int64_t calls = 0;
  do {
    for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 32
      for (int k = 0; k < 32; k++) {
        sum += one;
        __asm__ volatile("" : "+r"(sum), "+r"(one));
      }
    }
    calls++;
    elapsed = now() - start;
  } while (elapsed < seconds);
  return (double)calls * STEPS * 32 / elapsed;
}

// A function that folds lines of 64 bytes, eight sums at a time, so that no load waits for another.
#define DEFINE_READ(name, attribute, Vector)                                                       \
  attribute static uint64_t name(const void *data, size_t lines) {                                 \
    enum { SUMS = 8, LINE = 64, EACH = LINE / sizeof(Vector) };                                    \
    const Vector *vectors = data;                                                                  \
    Vector sums[SUMS] = {{0}};                                                                     \
    for (size_t i = 0; i + SUMS <= lines * EACH; i += SUMS)                                        \
      for (int k = 0; k < SUMS; k++) sums[k] ^= vectors[i + k];                                    \
    uint64_t all = 0;                                                                              \
    for (int k = 0; k < SUMS; k++) all ^= sums[k][0];                                              \
    return all;                                                                                    \
  }

typedef uint64_t Vector16 __attribute__((vector_size(16)));
DEFINE_READ(read_128, , Vector16)
#ifdef X86
typedef uint64_t Vector32 __attribute__((vector_size(32)));
typedef uint64_t Vector64 __attribute__((vector_size(64)));
DEFINE_READ(read_256, __attribute__((target("avx2"))), Vector32)
DEFINE_READ(read_512, __attribute__((target("avx512f"))), Vector64)
#endif

// Bytes per second read from a 64-byte aligned buffer, again and again for about `seconds`.
double read_rate(const void *data, size_t bytes, double seconds) {
  uint64_t (*function)(const void *, size_t) = read_128;
#ifdef X86
  if (has_avx2()) function = read_256;
  if (has_avx512()) function = read_512;
#endif
  size_t lines = bytes / 64;
  sink = function(data, lines); // brings it into the caches
  double start = now(), elapsed, total = 0;
  do {
    // Small buffers are read often between two looks at the clock.
    for (size_t done = 0; done < 65536; done += lines * 64) {
      sink = function(data, lines);
      total += 64.0 * (double)lines;
    }
    elapsed = now() - start;
  } while (elapsed < seconds);
  return total / elapsed;
}
