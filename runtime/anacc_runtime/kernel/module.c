// The Python module anacc_runtime._kernel: checks its arguments, releases the GIL, and calls the
// path for this CPU. Whatever is passed from Python, no memory is touched that a buffer does not
// own.
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"

#include <fenv.h>
#include <string.h>

// Packed weights begin with this, so that only the result of pack() is taken for such.
typedef struct {
  char magic[8];
  int32_t rows, columns;
} Header;

static const char MAGIC[8] = "anaccw1";

// The buffers of one call: each addend has two, and there are x, scale, offset, value and codes.
enum { MAX_BUFFERS = 2 * MAX_ADDENDS + 5 };

typedef struct {
  Py_buffer all[MAX_BUFFERS];
  int count;
} Buffers;

static int has_avx2(void) {
#ifdef HAVE_AVX2
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
#else
  return 0;
#endif
}

static void release(Buffers *buffers) {
  while (buffers->count > 0) PyBuffer_Release(&buffers->all[--buffers->count]);
}

// Acquire a buffer of `dimensions` axes whose last one is contiguous and whose elements have the
// struct format `format` ('b' int8, 'e' binary16). `length` is that of the last axis, `positions` of
// the first of two; -1: any. Returns NULL with an exception set where it is anything else.
static const Py_buffer *acquire(Buffers *buffers, PyObject *object, const char *name,
                                const char *formats, int dimensions, int64_t positions,
                                int64_t length, int writable) {
  Py_buffer *view = &buffers->all[buffers->count];
  int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(object, view, flags) < 0) {
    PyErr_Clear();
    return PyErr_Format(PyExc_ValueError, "%s is not a %sarray", name, writable ? "writable " : ""),
           NULL;
  }
  buffers->count++;
  if (!view->format || strlen(view->format) != 1 || !strchr(formats, view->format[0]))
    return PyErr_Format(PyExc_ValueError, "%s has the wrong element type", name), NULL;
  if (view->ndim != dimensions)
    return PyErr_Format(PyExc_ValueError, "%s must have %d axes", name, dimensions), NULL;
  int last = dimensions - 1;
  if ((length >= 0 && view->shape[last] != length) ||
      (dimensions == 2 && positions >= 0 && view->shape[0] != positions))
    return PyErr_Format(PyExc_ValueError, "%s has the wrong shape", name), NULL;
  if (view->shape[last] > 1 && view->strides[last] != view->itemsize)
    return PyErr_Format(PyExc_ValueError, "the last axis of %s is not contiguous", name), NULL;
  if (view->itemsize == 2 && ((uintptr_t)view->buf | (dimensions == 2 ? view->strides[0] : 0)) % 2)
    return PyErr_Format(PyExc_ValueError, "%s is not aligned", name), NULL;
  return view;
}

// Set the packed weights of a layer, with rows and columns. Returns 0, or -1 with an exception.
static int set_weights(Layer *layer, PyObject *object) {
  char *data;
  Py_ssize_t length;
  Header header;
  if (PyBytes_AsStringAndSize(object, &data, &length) < 0) return -1;
  if (length >= (Py_ssize_t)sizeof header) {
    memcpy(&header, data, sizeof header);
    if (!memcmp(header.magic, MAGIC, sizeof MAGIC) && header.rows > 0 && header.rows <= MAX_ROWS &&
        header.columns > 0 && header.columns <= MAX_COLUMNS &&
        (size_t)length == sizeof header + panel_count(header.columns) * panel_bytes(header.rows)) {
      layer->rows = header.rows;
      layer->columns = header.columns;
      layer->weights = (const int8_t *)data + sizeof header;
      return 0;
    }
  }
  PyErr_SetString(PyExc_ValueError, "weights are not a result of pack()");
  return -1;
}

// Set the converter of a layer from (phases, multiplier, shift, maximum).
static int set_converter(Layer *layer, PyObject *object) {
  int phases, shift, maximum;
  long long multiplier;
  if (!PyArg_ParseTuple(object, "iLii", &phases, &multiplier, &shift, &maximum)) return -1;
  if ((phases != 1 && phases != 4) || multiplier < 0 || multiplier > INT32_MAX || shift < 0 ||
      shift > MAX_SHIFT || maximum < 0 || maximum > MAX_COUNT) {
    PyErr_SetString(PyExc_ValueError, "a converter setting is out of range");
    return -1;
  }
  layer->phases = phases;
  layer->multiplier = multiplier;
  layer->shift = shift;
  layer->maximum = maximum;
  return 0;
}

// A vector of binary16, one a column; None gives NULL. Returns 0, or -1 with an exception.
static int set_constants(Buffers *buffers, const Layer *layer, PyObject *object, const char *name,
                         const uint16_t **target) {
  *target = NULL;
  if (object == Py_None) return 0;
  const Py_buffer *view = acquire(buffers, object, name, "e", 1, -1, layer->columns, 0);
  if (!view) return -1;
  *target = view->buf;
  return 0;
}

// Set the addends of a layer from a tuple of (array, scale or None).
static int set_addends(Buffers *buffers, Layer *layer, PyObject *object) {
  if (!PyTuple_Check(object) || PyTuple_Size(object) > MAX_ADDENDS) {
    PyErr_Format(PyExc_ValueError, "addends must be a tuple of at most %d", MAX_ADDENDS);
    return -1;
  }
  layer->addend_count = (int)PyTuple_Size(object);
  for (int k = 0; k < layer->addend_count; k++) {
    PyObject *array, *scale, *pair = PyTuple_GetItem(object, k);
    Addend *addend = &layer->addends[k];
    if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "OO", &array, &scale)) {
      PyErr_SetString(PyExc_ValueError, "an addend is not a pair of array and scale");
      return -1;
    }
    const Py_buffer *view =
        acquire(buffers, array, "an addend", "be", 2, layer->positions, layer->columns, 0);
    if (!view) return -1;
    addend->data = view->buf;
    addend->stride = view->strides[0];
    addend->codes = view->itemsize == 1;
    if (set_constants(buffers, layer, scale, "the scale of an addend", &addend->scale) < 0)
      return -1;
  }
  return 0;
}

// Set the activation from None, "relu" or (low, high).
static int set_activation(Layer *layer, PyObject *object) {
  layer->activation = KEEP;
  if (object == Py_None) return 0;
  if (PyUnicode_Check(object)) {
    layer->activation = RELU;
    if (!PyUnicode_CompareWithASCIIString(object, "relu")) return 0;
  } else if (PyTuple_Check(object)) {
    layer->activation = CLAMP;
    if (!PyArg_ParseTuple(object, "ff", &layer->low, &layer->high)) return -1;
    layer->low = half_to_float(float_to_half(layer->low));
    layer->high = half_to_float(float_to_half(layer->high));
    if (layer->low <= layer->high) return 0;
  }
  PyErr_SetString(PyExc_ValueError, "activation is not None, 'relu' or (low, high)");
  return -1;
}

// Set where a result goes; None: nowhere.
static int set_result(Buffers *buffers, const Layer *layer, PyObject *object, const char *name,
                      const char *format, char **data, ptrdiff_t *stride) {
  *data = NULL;
  if (object == Py_None) return 0;
  const Py_buffer *view =
      acquire(buffers, object, name, format, 2, layer->positions, layer->columns, 1);
  if (!view) return -1;
  *data = view->buf;
  *stride = view->strides[0];
  return 0;
}

// Execute a layer on one path. Returns 0, or -1 for want of memory.
static int execute(const Layer *layer, int avx2) {
#ifdef HAVE_AVX2
  if (avx2) return run_avx2(layer);
#endif
  (void)avx2;
  run_portable(layer);
  return 0;
}

// Execute a layer without the GIL and with IEEE's default rounding, whatever the caller has set.
static int execute_unlocked(const Layer *layer, int avx2) {
  int status;
  Py_BEGIN_ALLOW_THREADS;
  fenv_t caller;
  fegetenv(&caller);
  fesetenv(FE_DFL_ENV);
  status = execute(layer, avx2);
  fesetenv(&caller);
  Py_END_ALLOW_THREADS;
  return status;
}

// Which path to take: 0 portable, 1 AVX2, -1 with an exception.
static int choose(const char *isa) {
  if (!isa) return has_avx2();
  if (!strcmp(isa, "portable")) return 0;
  if (!strcmp(isa, "avx2") && has_avx2()) return 1;
  PyErr_Format(PyExc_ValueError, "this CPU or build has no path '%s'", isa);
  return -1;
}

static PyObject *run(PyObject *self, PyObject *arguments, PyObject *keywords) {
  (void)self;
  static char *names[] = {"x",       "weights",    "adc",   "scale", "offset",
                          "addends", "activation", "value", "codes", "isa", NULL};
  PyObject *x, *weights, *adc, *scale, *offset, *addends, *activation, *value, *codes;
  const char *isa = NULL;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OO!O!OOOOOO|z", names, &x, &PyBytes_Type,
                                   &weights, &PyTuple_Type, &adc, &scale, &offset, &addends,
                                   &activation, &value, &codes, &isa))
    return NULL;
  Layer layer = {0};
  Buffers buffers = {.count = 0};
  PyObject *result = NULL;
  int avx2 = choose(isa);
  if (avx2 < 0 || set_weights(&layer, weights) < 0 || set_converter(&layer, adc) < 0) return NULL;
  const Py_buffer *view = acquire(&buffers, x, "x", "b", 2, -1, layer.rows, 0);
  if (!view) goto done;
  layer.positions = view->shape[0];
  layer.x = view->buf;
  layer.x_stride = view->strides[0];
  if (set_constants(&buffers, &layer, scale, "scale", &layer.scale) < 0) goto done;
  if (!layer.scale) {
    PyErr_SetString(PyExc_ValueError, "scale is None");
    goto done;
  }
  if (set_constants(&buffers, &layer, offset, "offset", &layer.offset) < 0 ||
      set_addends(&buffers, &layer, addends) < 0 || set_activation(&layer, activation) < 0 ||
      set_result(&buffers, &layer, value, "value", "e", &layer.value, &layer.value_stride) < 0 ||
      set_result(&buffers, &layer, codes, "codes", "b", &layer.codes, &layer.codes_stride) < 0)
    goto done;
  if (execute_unlocked(&layer, avx2) < 0)
    PyErr_NoMemory();
  else
    result = Py_NewRef(Py_None);
done:
  release(&buffers);
  return result;
}

static PyObject *pack(PyObject *self, PyObject *object) {
  (void)self;
  Buffers buffers = {.count = 0};
  PyObject *result = NULL;
  const Py_buffer *view = acquire(&buffers, object, "codes", "b", 2, -1, -1, 0);
  if (!view) goto done;
  Py_ssize_t rows = view->shape[0], columns = view->shape[1];
  if (rows < 1 || rows > MAX_ROWS || columns < 1 || columns > MAX_COLUMNS) {
    PyErr_SetString(PyExc_ValueError, "codes has no cells, or too many");
    goto done;
  }
  Header header = {.rows = (int32_t)rows, .columns = (int32_t)columns};
  memcpy(header.magic, MAGIC, sizeof MAGIC);
  size_t size = panel_count(header.columns) * panel_bytes(header.rows);
  result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(sizeof header + size));
  if (!result) goto done;
  char *target = PyBytes_AsString(result);
  memcpy(target, &header, sizeof header);
  target += sizeof header;
  memset(target, 0, size);
  for (Py_ssize_t row = 0; row < rows; row++) {
    const signed char *source = (const signed char *)view->buf + row * view->strides[0];
    for (Py_ssize_t column = 0; column < columns; column++) {
      if (source[column] == -128) {
        PyErr_SetString(PyExc_ValueError, "codes holds -128, which is no weight code");
        Py_CLEAR(result);
        goto done;
      }
      target[column / PANEL * panel_bytes(header.rows) + row / GROUP * GROUP * PANEL +
             column % PANEL * GROUP + row % GROUP] = source[column];
    }
  }
done:
  release(&buffers);
  return result;
}

static PyObject *isas(PyObject *self, PyObject *unused) {
  (void)self;
  (void)unused;
  return has_avx2() ? Py_BuildValue("(ss)", "avx2", "portable") : Py_BuildValue("(s)", "portable");
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))run, METH_VARARGS | METH_KEYWORDS,
     "Execute a crossbar layer; _kernel.pyi describes the arguments."},
    {"pack", pack, METH_O, "Arrange weight codes as run() reads them."},
    {"isas", isas, METH_NOARGS, "The paths that this CPU can run, the fastest first."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_kernel",
    .m_doc = "The native kernel of the simulator.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
