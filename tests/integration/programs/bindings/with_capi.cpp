// By hand, with each function that sets an error. With ctypes: `PyDLL` finds `fail_for_ctypes`.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "thrower.h"
volatile int sink;

static PyObject* fail(PyObject*, PyObject* arguments) {
    int depth = 0, way = 0;
    if (!PyArg_ParseTuple(arguments, "i|i", &depth, &way)) return nullptr;
    try {
        return PyLong_FromLong(way_down(depth));
    } catch (const std::exception& error) {
        PyObject* text = nullptr;
        switch (way) {
            case 0: PyErr_SetString(PyExc_RuntimeError, error.what()); break;
            case 1:
                PyErr_Format(PyExc_RuntimeError, "%s %d %ld %s %d %.1s %zd %c", error.what(), 1, 2L, "3", 4, "567",
                             (Py_ssize_t)7, 'x');
                break;
            case 2:
                text = PyUnicode_FromString(error.what());
                PyErr_SetObject(PyExc_RuntimeError, text);
                Py_XDECREF(text);
                break;
            default: PyErr_SetNone(PyExc_RuntimeError);
        }
        return nullptr;
    }
}

static PyObject* fail_later(PyObject*, PyObject*) {
    try {
        way_down(1);
    } catch (const std::exception&) {
        sink = 1;
    }
    PyErr_SetString(PyExc_ValueError, "not of C++");
    return nullptr;
}

extern "C" __attribute__((visibility("default"))) PyObject* fail_for_ctypes(int depth) {
    try {
        return PyLong_FromLong(way_down(depth));
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        return nullptr;
    }
}

static PyMethodDef methods[] = {{"fail", fail, METH_VARARGS, ""},
                                {"fail_later", fail_later, METH_NOARGS, ""},
                                {nullptr, nullptr, 0, nullptr}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "with_capi", "", -1, methods, nullptr, nullptr, nullptr, nullptr};
PyMODINIT_FUNC PyInit_with_capi() { return PyModule_Create(&definition); }
