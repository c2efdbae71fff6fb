// The Python module anacc_runtime._kernel: what its files share.
//
// Whatever is passed from Python, no memory is touched that a buffer or an object here does not own.
#ifndef ANACC_BINDING_H
#define ANACC_BINDING_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernel.h"

#include <fenv.h>
#include <stdbool.h>

typedef struct {
  PyTypeObject *tile, *engine, *crew;
} ModuleState;

typedef struct {
  PyObject_HEAD
  Tile tile;
  const Isa *isa;
  void *memory; // of the weights and the constants
} TileObject;

extern PyType_Spec tile_spec, engine_spec, crew_spec;

// The instruction set of this name, NULL being the fastest; NULL with an exception if there is none.
const Isa *choose_isa(const char *name);

// Set ValueError with a message and return -1, so that it can be returned from where it is called.
int refuse(const char *format, ...);

// Acquire a buffer of `dimensions` axes whose last one is contiguous and whose elements have one of
// the struct formats `formats` ("b" int8, "e" binary16, ...). Lengths of the axes are compared with
// `shape` where it is not negative there. Returns 0, or -1 with an exception, and then nothing is
// held.
int acquire(Py_buffer *view, PyObject *object, const char *name, const char *formats,
            int dimensions, const Py_ssize_t *shape, bool writable);

// Acquire a contiguous buffer, whatever its elements.
int acquire_bytes(Py_buffer *view, PyObject *object, const char *name, bool writable);

// A buffer that is not held anywhere yet.
void forget(Py_buffer *view);

// Release a buffer if it is held.
void release(Py_buffer *view);

// Whether a deviation of noise is one: neither negative nor so large that draws do not fit.
bool is_deviation(float deviation);

// Refuse what is no deviation, or noise for a tile whose charges would not fit with it. Returns 0,
// or -1 with an exception.
int check_noise(const Tile *tile, float deviation);

// Tile.run.
PyObject *tile_run(PyObject *object, PyObject *arguments, PyObject *keywords);

#endif
