// The Python class Tile.
#include "binding.h"
#include "half.h"
#include "workspace.h"

#include <stdlib.h>
#include <string.h>

// Conductances in 1/64 code are 14 bits each, so that a difference and a sum are these at most.
enum { MOST_DIFFERENCE = (1 << 14) - 1, MOST_SUM = 2 * MOST_DIFFERENCE };

typedef struct {
  Py_buffer difference, sum;
} Weights;

// Whether no code is -128, which is none.
static bool are_codes(const Py_buffer *view) {
  for (Py_ssize_t row = 0; row < view->shape[0]; row++) {
    const int8_t *codes = (const int8_t *)((const char *)view->buf + row * view->strides[0]);
    int wrong = 0;
    for (Py_ssize_t k = 0; k < view->shape[1]; k++) wrong |= codes[k] == -128;
    if (wrong) return false;
  }
  return true;
}

// Whether differences, and with them sums if there are any, can be those of pairs of conductances.
static bool are_conductances(const Py_buffer *difference, const Py_buffer *sum) {
  for (Py_ssize_t row = 0; row < difference->shape[0]; row++) {
    const char *start = (const char *)difference->buf + row * difference->strides[0];
    const int16_t *first = (const int16_t *)start, *second = NULL;
    if (sum->obj) second = (const int16_t *)((const char *)sum->buf + row * sum->strides[0]);
    int wrong = 0;
    for (Py_ssize_t k = 0; k < difference->shape[1]; k++) {
      int magnitude = abs(first[k]);
      wrong |= magnitude > MOST_DIFFERENCE;
      // One device holds (sum + difference) / 2 and the other the rest.
      if (second)
        wrong |= second[k] < magnitude || second[k] + magnitude > MOST_SUM ||
                 (second[k] + magnitude) % 2;
    }
    if (wrong) return false;
  }
  return true;
}

// Acquire the weights and set what they are of. Returns 0, or -1 with an exception.
static int acquire_weights(Weights *weights, PyObject *object, Tile *tile) {
  const Py_ssize_t any[] = {-1, -1};
  PyObject *sum = NULL;
  if (PyTuple_Check(object)) {
    if (PyTuple_Size(object) != 2) return refuse("weights are not a pair of differences and sums");
    sum = PyTuple_GetItem(object, 1);
    object = PyTuple_GetItem(object, 0);
  }
  const char *formats = sum ? "h" : "bh";
  Py_buffer *difference = &weights->difference;
  if (acquire(difference, object, "weights", formats, 2, any, false) < 0) return -1;
  Py_ssize_t rows = difference->shape[0], columns = difference->shape[1];
  tile->cells = sum ? TWO_SIDED : difference->itemsize == 1 ? CODES : ONE_SIDED;
  Py_ssize_t most = tile->cells == CODES ? MAX_ROWS : MAX_WIDE_ROWS;
  if (rows < 1 || rows > most || columns < 1 || columns > MAX_COLUMNS)
    return refuse("weights are %zd x %zd cells, none or too many", rows, columns);
  tile->rows = (int)rows;
  tile->columns = (int)columns;
  if (sum && acquire(&weights->sum, sum, "the sums of weights", "h", 2, difference->shape, false))
    return -1;
  if (sum && difference->shape[0] > 1 && weights->sum.strides[0] != difference->strides[0])
    return refuse("differences and sums of weights lie in memory differently");
  if (difference->strides[0] < 0) return refuse("the rows of weights are in reverse order");
  if (tile->cells == CODES ? !are_codes(difference) : !are_conductances(difference, &weights->sum))
    return refuse("weights hold a number that is no weight");
  return 0;
}

static int set_converter(Tile *tile, PyObject *object) {
  int phases, shift, maximum;
  long long multiplier;
  if (!PyTuple_Check(object)) return refuse("adc is not a tuple");
  if (!PyArg_ParseTuple(object, "iLii", &phases, &multiplier, &shift, &maximum)) {
    PyErr_Clear();
    return refuse("adc is not (phases, multiplier, shift, maximum)");
  }
  if ((phases != 1 && phases != 4) || multiplier < 0 || multiplier > INT32_MAX || shift < 0 ||
      shift > MAX_SHIFT || maximum < 0 || maximum > MAX_COUNT)
    return refuse("a converter setting is out of range");
  tile->converter = (Converter){phases, multiplier, shift, maximum};
  return 0;
}

static size_t padded_columns(const Tile *tile) {
  return ((size_t)tile->columns + PANEL - 1) / PANEL * PANEL;
}

// Write a vector of binary16, one a column, as padded binary32 to *next and move it on; None gives
// NULL.
static int take_constants(const Tile *tile, PyObject *object, const char *name, float **next,
                          const float **target) {
  const Py_ssize_t shape[] = {tile->columns};
  Py_buffer view;
  *target = NULL;
  if (object == Py_None) return 0;
  if (acquire(&view, object, name, "e", 1, shape, false) < 0) return -1;
  const uint16_t *halves = view.buf;
  for (int k = 0; k < tile->columns; k++) (*next)[k] = half_to_float(halves[k]);
  *target = *next;
  *next += padded_columns(tile);
  release(&view);
  return 0;
}

static int set_addends(Tile *tile, PyObject *object, float **next) {
  if (!PyTuple_Check(object) || PyTuple_Size(object) > MAX_ADDENDS)
    return refuse("addends are not a tuple of at most %d", MAX_ADDENDS);
  tile->addend_count = (int)PyTuple_Size(object);
  for (int k = 0; k < tile->addend_count; k++) {
    PyObject *pair = PyTuple_GetItem(object, k);
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2 ||
        !PyUnicode_Check(PyTuple_GetItem(pair, 0)))
      return refuse("an addend is not a pair of format and scale");
    bool codes = !PyUnicode_CompareWithASCIIString(PyTuple_GetItem(pair, 0), "int8");
    if (!codes && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(pair, 0), "binary16"))
      return refuse("the format of an addend is neither 'int8' nor 'binary16'");
    tile->addends[k].format = codes ? INT8 : BINARY16;
    PyObject *scale = PyTuple_GetItem(pair, 1);
    if (take_constants(tile, scale, "the scale of an addend", next, &tile->addends[k].scale) < 0)
      return -1;
  }
  return 0;
}

static int set_activation(Tile *tile, PyObject *object) {
  tile->activation = KEEP;
  if (object == Py_None) return 0;
  if (PyUnicode_Check(object) && !PyUnicode_CompareWithASCIIString(object, "relu")) {
    tile->activation = RELU;
    return 0;
  }
  if (PyTuple_Check(object) && PyArg_ParseTuple(object, "ff", &tile->low, &tile->high)) {
    tile->activation = CLAMP;
    tile->low = half_to_float(float_to_half(tile->low));
    tile->high = half_to_float(float_to_half(tile->high));
    if (tile->low <= tile->high) return 0;
  }
  PyErr_Clear();
  return refuse("activation is not None, 'relu' or (low, high)");
}

static int set_runs(Tile *tile, PyObject *object) {
  if (!PyTuple_Check(object)) return refuse("runs are not a tuple");
  Py_ssize_t count = PyTuple_Size(object);
  if (count > tile->rows) return refuse("there are more runs than rows");
  Run *runs = malloc((size_t)count * sizeof *runs + 1);
  if (!runs) return PyErr_NoMemory(), -1;
  tile->runs = runs;
  tile->run_count = (int)count;
  int64_t rows = 0;
  for (Py_ssize_t k = 0; k < count; k++) {
    PyObject *pair = PyTuple_GetItem(object, k);
    if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "ii", &runs[k].offset, &runs[k].length)) {
      PyErr_Clear();
      return refuse("a run is not a pair of offset and length");
    }
    if (runs[k].offset < 0 || runs[k].length < 1 || runs[k].offset > INT32_MAX - runs[k].length)
      return refuse("a run is out of range");
    rows += runs[k].length;
  }
  return rows == tile->rows ? 0 : refuse("the runs do not make up the %d rows", tile->rows);
}

// Pack the weights and convert the constants. Returns 0, or -1 with an exception.
static int fill_tile(TileObject *self, const Weights *weights, PyObject *scale, PyObject *offset,
                     PyObject *addends) {
  Tile *tile = &self->tile;
  size_t packed = self->isa->packed_bytes(tile->rows, tile->columns, tile->cells);
  packed = (packed + 63) / 64 * 64;
  size_t constants = (2 + MAX_ADDENDS) * padded_columns(tile);
  self->memory = allocate_aligned(packed + constants * sizeof(float));
  if (!self->memory) return PyErr_NoMemory(), -1;
  float *next = (float *)((char *)self->memory + packed);
  memset(next, 0, constants * sizeof *next);
  if (scale == Py_None) return refuse("scale is None");
  if (take_constants(tile, scale, "scale", &next, &tile->scale) < 0 ||
      take_constants(tile, offset, "offset", &next, &tile->offset) < 0 ||
      set_addends(tile, addends, &next) < 0)
    return -1;
  const Py_buffer *difference = &weights->difference;
  self->isa->pack(tile->rows, tile->columns, tile->cells, difference->buf, weights->sum.buf,
                  difference->strides[0] / difference->itemsize, self->memory);
  tile->weights = self->memory;
  return 0;
}

static PyObject *tile_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
  static char *names[] = {"weights",    "adc",  "scale",       "offset", "addends",
                          "activation", "runs", "nonnegative", "isa",    NULL};
  PyObject *weights, *adc, *scale, *offset, *addends, *activation, *runs;
  int nonnegative;
  const char *name = NULL;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOOOOOp|z", names, &weights, &adc, &scale,
                                   &offset, &addends, &activation, &runs, &nonnegative, &name))
    return NULL;
  const Isa *isa = choose_isa(name);
  if (!isa) return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  TileObject *self = (TileObject *)allocate(type, 0);
  if (!self) return NULL;
  self->isa = isa;
  self->tile.nonnegative = nonnegative;
  Weights held = {0};
  bool made = acquire_weights(&held, weights, &self->tile) == 0 &&
              set_converter(&self->tile, adc) == 0 &&
              set_activation(&self->tile, activation) == 0 && set_runs(&self->tile, runs) == 0 &&
              fill_tile(self, &held, scale, offset, addends) == 0;
  release(&held.difference);
  release(&held.sum);
  if (made) return (PyObject *)self;
  Py_DECREF(self);
  return NULL;
}

static void tile_dealloc(PyObject *object) {
  TileObject *self = (TileObject *)object;
  PyTypeObject *type = Py_TYPE(object);
  free(self->memory);
  free((void *)self->tile.runs);
  freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release_object(object);
  Py_DECREF(type);
}


static PyMethodDef tile_methods[] = {
    {"run", (PyCFunction)(void (*)(void))tile_run, METH_VARARGS | METH_KEYWORDS,
     "Apply the tile to vectors; _kernel.pyi describes the arguments."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot tile_slots[] = {
    {Py_tp_doc, "A crossbar region with its converters and its local digital unit."},
    {Py_tp_new, tile_new},
    {Py_tp_dealloc, tile_dealloc},
    {Py_tp_methods, tile_methods},
    {0, NULL},
};

PyType_Spec tile_spec = {
    .name = "anacc_runtime._kernel.Tile",
    .basicsize = sizeof(TileObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tile_slots,
};
