// The instructions that compute a vector from vectors (GDPUs and bridge), on the lanes of an
// instruction set. What to do is chosen once an instruction: all below run_vector is inlined with
// the instruction and the format as constants, so that a loop holds nothing but its arithmetic.
#ifndef ANACC_DIGITAL_H
#define ANACC_DIGITAL_H

#include "kernel.h"

#include <string.h>

// Elements of MAXIMUM and SUM that are worked on at a time.
enum { CHUNK = 64 };

// What an instruction needs beside its sources, the same for all elements.
typedef struct {
  Floats low, high;                // of CLAMP_VECTOR
  const float *samples;            // of LOOKUP, as is all that follows
  Floats limit, start, factor;     // start: -limit, or 0 where the function is odd
  Floats last_position, last_sample;
  Ints last_index;                 // the greatest that the samples are read at first
} Parameters;

INLINE size_t element_bytes(Format format) {
  return format == INT8 ? 1 : format == INT32 ? 4 : 2;
}

// The first n of LANES elements; more than LANES count as LANES.
INLINE Floats load(Format format, const char *data, int n) {
  if (format == INT8) return f_load_codes(data, n);
  if (format == INT16) return f_load_words(data, n);
  if (format == INT32) return f_load_ints(data, n);
  return f_load_halves(data, n);
}

INLINE Floats load_floats(const char *data, int n) {
  float lanes[LANES] = {0};
  memcpy(lanes, data, (size_t)n * sizeof *lanes);
  return f_load(lanes);
}

// The function of a table; see `lookup` in arithmetic.py.
INLINE Floats interpolate(const Parameters *p, Floats position) {
  Ints index = i_min(i_truncate(position), p->last_index);
  Floats fraction = f_sub(position, f_from_ints(index));
  Floats left, right;
  f_gather_pairs(p->samples, index, &left, &right);
  return f_add(left, f_mul(f_sub(right, left), fraction));
}

INLINE Floats nearest(const Parameters *p, Floats position) {
  return f_gather(p->samples, i_min(i_truncate(f_add(position, f_set(0.5f))), p->last_index));
}

INLINE Floats look_up(const Parameters *p, Floats x, int odd, int interpolated) {
  // For an odd function the sign is set aside, but for that of -0, which is not below 0.
  Ints sign = odd ? i_and(i_less_f(x, f_set(0)), i_set(INT32_MIN)) : i_set(0);
  Floats v = odd ? f_abs(x) : x;
  Floats from_start = odd ? v : f_add(f_max(v, p->start), p->limit);
  Floats position = f_min(f_mul(from_start, p->factor), p->last_position);
  Floats y = interpolated ? interpolate(p, position) : nearest(p, position);
  y = f_select(i_less_f(v, p->limit), y, p->last_sample);
  return odd ? f_bits(i_xor(i_bits(y), sign)) : y;
}

// What an instruction is apart from its lengths and numbers.
typedef struct {
  VectorOp op;
  Format format; // of the first source
  int odd, interpolated;
} Kind;

INLINE Format target_format(Kind kind) { return kind.op == QUANTISE ? INT8 : BINARY16; }

INLINE Format source_format(Kind kind, int source) {
  if (source == 0) return kind.format;
  return kind.op == AVERAGE ? INT32 : BINARY16; // of AVERAGE: binary32, which has the same size
}

INLINE int source_count(Kind kind) {
  if (kind.op == AFFINE) return 3;
  return kind.op == SCALE || kind.op == ADD || kind.op == MULTIPLY || kind.op == AVERAGE ? 2 : 1;
}

// The result for n elements, before the last rounding. NaN does not occur: see docs/numerics.md.
INLINE Floats compute(Kind kind, const Parameters *p, const char *const s[3], int n) {
  Floats x = load(kind.format, s[0], n);
  switch (kind.op) {
    case SCALE:
    case MULTIPLY: return f_mul(x, f_load_halves(s[1], n));
    case AFFINE: return f_add(f_mul(x, f_load_halves(s[1], n)), f_load_halves(s[2], n));
    case ADD: return f_add(x, f_load_halves(s[1], n));
    case AVERAGE: return f_mul(x, load_floats(s[1], n));
    // Where both are zeros f_max and f_min give the second one.
    case RELU_VECTOR: return f_max(x, f_set(0));
    case CLAMP_VECTOR: return f_min(p->high, f_max(p->low, x));
    case LOOKUP: return look_up(p, x, kind.odd, kind.interpolated);
    default: return x; // QUANTISE
  }
}

INLINE void store(Kind kind, char *target, Floats y, int n) {
  if (kind.op == QUANTISE)
    f_store_codes(target, y, n);
  else
    h_store(target, h_round(y), n);
}

// A source of one position. Where one element serves all, `copies` of it are read at each step.
typedef struct {
  const char *data;
  size_t step; // bytes from an element to the next
  char copies[LANES * sizeof(int32_t)];
} Source;

// Copies of one element for all lanes. It is spread over a word first, so that the loop becomes one
// store of a whole vector: the load of a vector would have to wait for stores of its elements.
INLINE void copy_element(char *copies, const char *element, size_t bytes) {
  uint32_t word;
  uint16_t half;
  if (bytes == 1) {
    word = *(const uint8_t *)element * 0x01010101u;
  } else if (bytes == 2) {
    memcpy(&half, element, sizeof half);
    word = half * 0x00010001u;
  } else {
    memcpy(&word, element, sizeof word);
  }
  for (size_t k = 0; k < LANES * bytes; k += sizeof word) memcpy(copies + k, &word, sizeof word);
}

INLINE void open_source(Source *source, Format format, int broadcast, const char *data) {
  size_t bytes = element_bytes(format);
  source->data = broadcast ? source->copies : data;
  source->step = broadcast ? 0 : bytes;
  if (broadcast) copy_element(source->copies, data, bytes);
}

INLINE Floats compute_at(Kind kind, const Parameters *p, const Source *source, int first, int n) {
  const char *s[3];
  for (int k = 0; k < source_count(kind); k++)
    s[k] = source[k].data + (size_t)first * source[k].step;
  return compute(kind, p, s, n);
}

INLINE void run_elements(Kind kind, const VectorInstr *instr, const Parameters *p, int count,
                         char *const *dst, const char *const *const *sources) {
  const int length = instr->length;
  const size_t bytes = element_bytes(target_format(kind));
  for (int position = 0; position < count; position++) {
    Source source[3];
    for (int k = 0; k < source_count(kind); k++)
      open_source(&source[k], source_format(kind, k), instr->broadcast[k], sources[k][position]);
    char *target = dst[position];
    if (length < LANES) {
      store(kind, target, compute_at(kind, p, source, 0, length), length);
      continue;
    }
    // The last vector may overlap the one before it. It is computed first, since `target` may be a
    // source, and stored last.
    int last = length - LANES;
    Floats tail = compute_at(kind, p, source, last, LANES);
    for (int first = 0; first < last; first += LANES)
      store(kind, target + (size_t)first * bytes, compute_at(kind, p, source, first, LANES), LANES);
    store(kind, target + (size_t)last * bytes, tail, LANES);
  }
}

// The formats of SCALE and AFFINE.
INLINE void run_formats(VectorOp op, const VectorInstr *instr, int count, char *const *dst,
                        const char *const *const *sources) {
  switch (instr->format) {
    case INT8: run_elements((Kind){op, INT8, 0, 0}, instr, NULL, count, dst, sources); break;
    case INT16: run_elements((Kind){op, INT16, 0, 0}, instr, NULL, count, dst, sources); break;
    case INT32: run_elements((Kind){op, INT32, 0, 0}, instr, NULL, count, dst, sources); break;
    default: run_elements((Kind){op, BINARY16, 0, 0}, instr, NULL, count, dst, sources);
  }
}

static void run_lookup(const VectorInstr *instr, int count, char *const *dst,
                       const char *const *const *sources) {
  const Curve *curve = instr->curve;
  const int last = curve->count - 1;
  const double range = curve->odd ? curve->limit : 2.0 * curve->limit;
  const Parameters p = {
      .samples = curve->samples,
      .limit = f_set(curve->limit),
      .start = f_set(-curve->limit),
      .factor = f_set((float)(last / range)),
      .last_position = f_set((float)last),
      .last_sample = f_set(curve->samples[last]),
      .last_index = i_set(curve->interpolate ? last - 1 : last),
  };
  const Kind even_nearest = {LOOKUP, BINARY16, 0, 0}, even_interpolated = {LOOKUP, BINARY16, 0, 1};
  const Kind odd_nearest = {LOOKUP, BINARY16, 1, 0}, odd_interpolated = {LOOKUP, BINARY16, 1, 1};
  if (curve->odd && curve->interpolate)
    run_elements(odd_interpolated, instr, &p, count, dst, sources);
  else if (curve->odd)
    run_elements(odd_nearest, instr, &p, count, dst, sources);
  else if (curve->interpolate)
    run_elements(even_interpolated, instr, &p, count, dst, sources);
  else
    run_elements(even_nearest, instr, &p, count, dst, sources);
}

// n elements of the maximum or sum of vectors of codes that are `stride` bytes apart. These are
// integers, for which compilers find vectors that are wider than lanes.
INLINE void reduce_chunk(VectorOp op, const int8_t *source, int vectors, int stride, int n,
                         char *target) {
  int8_t maximum[CHUNK];
  int32_t sum[CHUNK] = {0};
  memcpy(maximum, source, (size_t)n);
  for (int v = 0; v < vectors; v++, source += stride) {
    for (int k = 0; k < n; k++) {
      maximum[k] = source[k] > maximum[k] ? source[k] : maximum[k];
      sum[k] += source[k];
    }
  }
  if (op == MAXIMUM)
    memcpy(target, maximum, (size_t)n);
  else
    memcpy(target, sum, (size_t)n * sizeof *sum);
}

INLINE void reduce(VectorOp op, const VectorInstr *instr, int count, char *const *dst,
                   const char *const *const *sources) {
  const int length = instr->length, vectors = instr->vectors;
  const size_t bytes = op == MAXIMUM ? sizeof(int8_t) : sizeof(int32_t);
  for (int position = 0; position < count; position++) {
    const int8_t *source = (const int8_t *)sources[0][position];
    char *target = dst[position];
    int first = 0;
    for (; first + CHUNK <= length; first += CHUNK)
      reduce_chunk(op, source + first, vectors, length, CHUNK, target + (size_t)first * bytes);
    if (first < length)
      reduce_chunk(op, source + first, vectors, length, length - first,
                   target + (size_t)first * bytes);
  }
}

static void run_vector(const VectorInstr *instr, int count, char *const *dst,
                       const char *const *const *sources) {
  switch (instr->op) {
    case SCALE: run_formats(SCALE, instr, count, dst, sources); break;
    case AFFINE: run_formats(AFFINE, instr, count, dst, sources); break;
    case LOOKUP: run_lookup(instr, count, dst, sources); break;
    case MAXIMUM: reduce(MAXIMUM, instr, count, dst, sources); break;
    case SUM: reduce(SUM, instr, count, dst, sources); break;
    case CLAMP_VECTOR: {
      const Parameters p = {.low = f_set(instr->low), .high = f_set(instr->high)};
      run_elements((Kind){CLAMP_VECTOR, BINARY16, 0, 0}, instr, &p, count, dst, sources);
      break;
    }
    case ADD:
      run_elements((Kind){ADD, BINARY16, 0, 0}, instr, NULL, count, dst, sources);
      break;
    case MULTIPLY:
      run_elements((Kind){MULTIPLY, BINARY16, 0, 0}, instr, NULL, count, dst, sources);
      break;
    case RELU_VECTOR:
      run_elements((Kind){RELU_VECTOR, BINARY16, 0, 0}, instr, NULL, count, dst, sources);
      break;
    case QUANTISE:
      run_elements((Kind){QUANTISE, BINARY16, 0, 0}, instr, NULL, count, dst, sources);
      break;
    case AVERAGE:
      run_elements((Kind){AVERAGE, INT32, 0, 0}, instr, NULL, count, dst, sources);
      break;
    default: break;
  }
}

#endif
