// Operations that only move bytes.
#include "engine.h"

#include <string.h>

// memmove() where a call would cost more than the few bytes.
static inline void move(char *target, const char *source, size_t bytes) {
  if (bytes > 64) {
    memmove(target, source, bytes);
  } else if (bytes >= 32) {
    uint64_t head[4], tail[4];
    memcpy(head, source, 32);
    memcpy(tail, source + bytes - 32, 32);
    memcpy(target, head, 32);
    memcpy(target + bytes - 32, tail, 32);
  } else if (bytes >= 16) {
    uint64_t head[2], tail[2];
    memcpy(head, source, 16);
    memcpy(tail, source + bytes - 16, 16);
    memcpy(target, head, 16);
    memcpy(target + bytes - 16, tail, 16);
  } else if (bytes >= 8) {
    uint64_t head, tail;
    memcpy(&head, source, 8);
    memcpy(&tail, source + bytes - 8, 8);
    memcpy(target, &head, 8);
    memcpy(target + bytes - 8, &tail, 8);
  } else if (bytes >= 4) {
    uint32_t head, tail;
    memcpy(&head, source, 4);
    memcpy(&tail, source + bytes - 4, 4);
    memcpy(target, &head, 4);
    memcpy(target + bytes - 4, &tail, 4);
  } else if (bytes) {
    // The first, the middle and the last of one to three bytes.
    char first = source[0], middle = source[bytes / 2], last = source[bytes - 1];
    target[0] = first;
    target[bytes / 2] = middle;
    target[bytes - 1] = last;
  }
}

// Copy vectors that are contiguous on both sides; those that continue each other at once.
static void copy_contiguous(size_t bytes, int count, char *const *targets, char *const *sources) {
  for (int p = 0; p < count;) {
    int end = p + 1;
    while (end < count && targets[end] == targets[end - 1] + bytes &&
           sources[end] == sources[end - 1] + bytes)
      end++;
    move(targets[p], sources[p], bytes * (size_t)(end - p));
    p = end;
  }
}

// Copy the innermost dimension: `count` elements with a stride on either side. The element has a
// constant size wherever this is inlined, but in the last case.
static inline void copy_strided(size_t element, int64_t count, char *target, ptrdiff_t target_stride,
                                const char *source, ptrdiff_t source_stride) {
  for (int64_t k = 0; k < count; k++)
    move(target + k * target_stride, source + k * source_stride, element);
}

static inline void copy_row(size_t element, int64_t count, char *target, ptrdiff_t target_stride,
                            const char *source, ptrdiff_t source_stride) {
  switch (element) {
  case 1: copy_strided(1, count, target, target_stride, source, source_stride); break;
  case 2: copy_strided(2, count, target, target_stride, source, source_stride); break;
  case 4: copy_strided(4, count, target, target_stride, source, source_stride); break;
  default: copy_strided(element, count, target, target_stride, source, source_stride);
  }
}

// Copy one vector between `packed`, where its elements follow one another, and `spread`, where the
// dimensions say.
static inline void copy_vector(const Copy *copy, char *packed, char *spread, bool gather) {
  size_t element = (size_t)copy->element;
  const Dim *inner = &copy->dims[copy->dim_count - 1];
  ptrdiff_t row = (ptrdiff_t)(element * (size_t)inner->count);
  int64_t index[MAX_DIMS] = {0};
  for (;;) {
    if (gather)
      copy_row(element, inner->count, packed, (ptrdiff_t)element, spread, inner->stride);
    else
      copy_row(element, inner->count, spread, inner->stride, packed, (ptrdiff_t)element);
    packed += row;
    int k = copy->dim_count - 2;
    while (k >= 0 && ++index[k] == copy->dims[k].count) {
      spread -= (copy->dims[k].count - 1) * copy->dims[k].stride;
      index[k--] = 0;
    }
    if (k < 0) return;
    spread += copy->dims[k].stride;
  }
}

void run_gather(const Copy *copy, int count, char *const *targets, char *const *sources) {
  if (!copy->dim_count) {
    copy_contiguous((size_t)copy->element, count, targets, sources);
    return;
  }
  for (int p = 0; p < count; p++) copy_vector(copy, targets[p], sources[p], true);
}

void run_scatter(const Copy *copy, int count, char *const *targets, char *const *sources) {
  if (!copy->dim_count) {
    copy_contiguous((size_t)copy->element, count, targets, sources);
    return;
  }
  for (int p = 0; p < count; p++) copy_vector(copy, sources[p], targets[p], false);
}

static void fill_bytes(const Fill *fill, char *target, size_t size) {
  if (fill->width == 1) {
    memset(target, fill->pattern[0], size);
  } else if (fill->width == 2) {
    for (size_t k = 0; k < size; k += 2) memcpy(target + k, fill->pattern, 2);
  } else {
    for (size_t k = 0; k < size; k += 4) memcpy(target + k, fill->pattern, 4);
  }
}

void run_fill(const Fill *fill, int count, char *const *targets) {
  for (int p = 0; p < count;) {
    int end = p + 1;
    while (end < count && targets[end] == targets[end - 1] + fill->size) end++;
    fill_bytes(fill, targets[p], (size_t)fill->size * (size_t)(end - p));
    p = end;
  }
}
