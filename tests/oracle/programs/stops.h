/* The last step of a script: tells where it stands, then stops. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <execinfo.h>
#include <stdlib.h>

#define STEP __attribute__((noinline, noclone))
/* Nothing, but different in each copy: compilers fold functions whose code is the same. */
#define COPY(N) __asm__ volatile("/* " #N " */" ::: "memory")
#define MAX_PCS 16384

/* Where the C library's unwinder would read what is no stack, and crash. */
static __thread int is_unknown;

/* Gives `note` the return addresses that the C library's unwinder found from here on. */
STEP static int tell(PyObject *note, void **pcs, int count)
{
    PyObject *list = PyList_New(count);
    for (int index = 0; list && index < count; index++)
        PyList_SET_ITEM(list, index, PyLong_FromVoidPtr(pcs[index]));
    PyObject *result = list ? PyObject_CallFunctionObjArgs(note, list, NULL) : NULL;
    Py_XDECREF(list);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

/* A function `oracle_stop_NAME(note)`; its own frame is the newest that it tells. */
#define STOP_HOLDING(NAME, ...) \
    STEP static PyObject *oracle_stop_##NAME(PyObject *self, PyObject *note) \
    { \
        void **pcs = malloc(MAX_PCS * sizeof *pcs); \
        int failed = tell(note, pcs, is_unknown ? 0 : backtrace(pcs, MAX_PCS)); \
        free(pcs); \
        if (failed) \
            return NULL; \
        __VA_ARGS__; \
        Py_RETURN_NONE; \
    }

/* How many threads have told where they stand and need the GIL no more. */
int oracle_stopped;

/* The same without the GIL. */
#define STOP(NAME, ...) \
    STOP_HOLDING(NAME, Py_BEGIN_ALLOW_THREADS; __atomic_add_fetch(&oracle_stopped, 1, 5); \
                 __VA_ARGS__; Py_END_ALLOW_THREADS)

#define ROW(NAME) {#NAME, (PyCFunction)oracle_##NAME, METH_O, NULL},
#define FAST_ROW(NAME) {#NAME, (PyCFunction)(void (*)(void))oracle_##NAME, METH_FASTCALL, NULL},
