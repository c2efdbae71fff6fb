// Checks of arguments.
#include "binding.h"

#include "isa.h"

#include <stdarg.h>
#include <string.h>

int refuse(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  PyErr_FormatV(PyExc_ValueError, format, arguments);
  va_end(arguments);
  return -1;
}

const Isa *choose_isa(const char *name) {
  int count;
  const Isa *isa = name ? find_isa(name) : available_isas(&count)[0];
  if (!isa) refuse("this CPU or build has no instruction set '%s'", name);
  return isa;
}

void forget(Py_buffer *view) { view->obj = NULL; }

void release(Py_buffer *view) {
  if (view->obj) PyBuffer_Release(view);
  forget(view);
}

static int get(Py_buffer *view, PyObject *object, const char *name, int flags, bool writable) {
  forget(view);
  if (PyObject_GetBuffer(object, view, flags | (writable ? PyBUF_WRITABLE : 0)) == 0) return 0;
  PyErr_Clear();
  forget(view);
  return refuse("%s is not a%s array%s", name, writable ? " writable" : "",
                flags & PyBUF_FORMAT ? "" : " that is contiguous");
}

static int check(const Py_buffer *view, const char *name, const char *formats, int dimensions,
                 const Py_ssize_t *shape) {
  if (!view->format || strlen(view->format) != 1 || !strchr(formats, view->format[0]))
    return refuse("%s has the wrong element type", name);
  if (view->ndim != dimensions) return refuse("%s does not have %d axes", name, dimensions);
  uintptr_t addresses = (uintptr_t)view->buf;
  for (int k = 0; k < dimensions; k++) {
    if (shape[k] >= 0 && view->shape[k] != shape[k])
      return refuse("axis %d of %s has %zd elements, not %zd", k, name, view->shape[k], shape[k]);
    if (view->shape[k] > 1) addresses |= (uintptr_t)view->strides[k];
  }
  if (view->shape[dimensions - 1] > 1 && view->strides[dimensions - 1] != view->itemsize)
    return refuse("the last axis of %s is not contiguous", name);
  if (addresses % (uintptr_t)view->itemsize) return refuse("%s is not aligned", name);
  return 0;
}

int acquire(Py_buffer *view, PyObject *object, const char *name, const char *formats,
            int dimensions, const Py_ssize_t *shape, bool writable) {
  if (get(view, object, name, PyBUF_STRIDES | PyBUF_FORMAT, writable) < 0) return -1;
  if (check(view, name, formats, dimensions, shape) == 0) return 0;
  release(view);
  return -1;
}

int acquire_bytes(Py_buffer *view, PyObject *object, const char *name, bool writable) {
  return get(view, object, name, PyBUF_C_CONTIGUOUS, writable);
}

bool is_deviation(float deviation) { return deviation >= 0 && deviation <= 0x1p26f; }

int check_noise(const Tile *tile, float deviation) {
  if (!is_deviation(deviation)) return refuse("a deviation of noise is out of range");
  if (deviation > 0 && tile->rows > MAX_NOISY_ROWS)
    return refuse("a tile of %d rows cannot have noise, at most one of %d", tile->rows,
                  MAX_NOISY_ROWS);
  return 0;
}
