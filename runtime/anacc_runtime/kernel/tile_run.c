// Tile.run: one tile alone, for tests and benchmarks.
#include "binding.h"
#include "workspace.h"

#include <stdlib.h>

// The buffers of a call.
typedef struct {
  Py_buffer x, value, codes, samples, positions, addends[MAX_ADDENDS];
  Noise noise;
  uint32_t time;
  bool noisy;
} Call;

static void release_call(Call *call) {
  release(&call->x);
  release(&call->value);
  release(&call->codes);
  release(&call->samples);
  release(&call->positions);
  for (int k = 0; k < MAX_ADDENDS; k++) release(&call->addends[k]);
}

static int acquire_addends(Call *call, const Tile *tile, PyObject *object) {
  if (!PyTuple_Check(object) || PyTuple_Size(object) != tile->addend_count)
    return refuse("addends are not a tuple of %d arrays", tile->addend_count);
  const Py_ssize_t shape[] = {call->x.shape[0], tile->columns};
  for (int k = 0; k < tile->addend_count; k++) {
    const char *format = tile->addends[k].format == INT8 ? "b" : "e";
    if (acquire(&call->addends[k], PyTuple_GetItem(object, k), "an addend", format, 2, shape, false))
      return -1;
  }
  return 0;
}

static int acquire_noise(Call *call, const Tile *tile, PyObject *object) {
  if (object == Py_None) return 0;
  PyObject *samples, *positions;
  if (!PyTuple_Check(object)) return refuse("noise is not a tuple");
  if (!PyArg_ParseTuple(object, "(II)fOOI", &call->noise.key[0], &call->noise.key[1],
                        &call->noise.deviation, &samples, &positions, &call->time)) {
    PyErr_Clear();
    return refuse("noise is not (key, deviation, samples, positions, time)");
  }
  if (check_noise(tile, call->noise.deviation) < 0) return -1;
  const Py_ssize_t shape[] = {call->x.shape[0]};
  call->noisy = call->noise.deviation > 0;
  return acquire(&call->samples, samples, "the samples", "I", 1, shape, false) < 0 ||
                 acquire(&call->positions, positions, "the positions", "I", 1, shape, false) < 0
             ? -1
             : 0;
}

static int acquire_results(Call *call, const Tile *tile, PyObject *value, PyObject *codes) {
  const Py_ssize_t shape[] = {call->x.shape[0], tile->columns};
  if (value != Py_None && acquire(&call->value, value, "value", "e", 2, shape, true) < 0) return -1;
  if (codes != Py_None && acquire(&call->codes, codes, "codes", "b", 2, shape, true) < 0) return -1;
  return 0;
}

// Where a vector of an array is; NULL where there is no array.
static char *row(const Py_buffer *view, Py_ssize_t position) {
  return view->obj ? (char *)view->buf + position * view->strides[0] : NULL;
}

static void run_blocks(const TileObject *self, const Call *call, TileBlock *block, void *scratch) {
  Py_ssize_t count = call->x.shape[0];
  if (!call->value.obj && !call->codes.obj) return; // run_tile wants one of them at least
  block->noise = call->noisy ? &call->noise : NULL;
  block->time = call->time;
  for (Py_ssize_t first = 0; first < count; first += BLOCK) {
    block->count = count - first < BLOCK ? (int)(count - first) : BLOCK;
    for (int p = 0; p < block->count; p++) {
      block->x[p] = row(&call->x, first + p);
      block->value[p] = row(&call->value, first + p);
      block->codes[p] = row(&call->codes, first + p);
      for (int k = 0; k < self->tile.addend_count; k++)
        block->addends[k][p] = row(&call->addends[k], first + p);
      if (!call->noisy) continue;
      block->sample[p] = ((const uint32_t *)call->samples.buf)[first + p];
      block->position[p] = ((const uint32_t *)call->positions.buf)[first + p];
    }
    self->isa->run_tile(&self->tile, block, scratch);
  }
}

static int execute(const TileObject *self, const Call *call) {
  TileBlock *block = malloc(sizeof *block);
  void *scratch = allocate_aligned(self->isa->scratch_bytes(&self->tile));
  if (!block || !scratch) {
    PyErr_NoMemory();
  } else {
    Py_BEGIN_ALLOW_THREADS;
    fenv_t caller;
    fegetenv(&caller);
    fesetenv(FE_DFL_ENV);
    run_blocks(self, call, block, scratch);
    fesetenv(&caller);
    Py_END_ALLOW_THREADS;
  }
  bool done = block && scratch;
  free(block);
  free(scratch);
  return done ? 0 : -1;
}

PyObject *tile_run(PyObject *object, PyObject *arguments, PyObject *keywords) {
  static char *names[] = {"x", "addends", "value", "codes", "noise", NULL};
  const TileObject *self = (const TileObject *)object;
  PyObject *x, *addends, *value, *codes, *noise = Py_None;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOO|O", names, &x, &addends, &value,
                                   &codes, &noise))
    return NULL;
  Py_ssize_t extent = 0;
  for (int k = 0; k < self->tile.run_count; k++) {
    Py_ssize_t end = (Py_ssize_t)self->tile.runs[k].offset + self->tile.runs[k].length;
    if (end > extent) extent = end;
  }
  const Py_ssize_t shape[] = {-1, extent};
  Call call = {0};
  int status = acquire(&call.x, x, "x", "b", 2, shape, false) < 0 ||
                       acquire_addends(&call, &self->tile, addends) < 0 ||
                       acquire_results(&call, &self->tile, value, codes) < 0 ||
                       acquire_noise(&call, &self->tile, noise) < 0 || execute(self, &call) < 0
                   ? -1
                   : 0;
  release_call(&call);
  return status < 0 ? NULL : Py_NewRef(Py_None);
}
