// The C++ core of the simulation: heat spreading through a square metal plate, computed by
// explicit finite differences (forward in time, centred in space).

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace heat {

constexpr double kHot = 100.0;
constexpr double kCold = 20.0;

// Records the temperature of one cell, one sample per step.
class Probe {
 public:
  explicit Probe(std::size_t capacity)
      : storage_(new double[capacity]), samples_(storage_.get()), capacity_(capacity) {}

  void record(double temperature) {
    if (count_ < capacity_) {
      samples_[count_++] = temperature;  // after close() this writes through a null pointer
    }
  }

  // Gives the memory back. The count stays, so a late record() misses null by 8 bytes per sample.
  void close() {
    storage_.reset();
    samples_ = nullptr;
  }

  std::size_t count() const { return count_; }

 private:
  std::unique_ptr<double[]> storage_;
  double* samples_;
  std::size_t capacity_;
  std::size_t count_ = 0;
};

class Plate {
 public:
  Plate(std::size_t size, double conductivity)
      : conductivity(conductivity),
        size_(size),
        now_(size * size, kCold),
        next_(size * size, kCold),
        probe_(100'000) {
    if (size < 3) throw std::invalid_argument("a plate is at least 3 cells wide");
    for (std::size_t row = 0; row < size; ++row) {
      now_[row * size] = next_[row * size] = kHot;
    }
  }

  void relax_rows(std::size_t first_row, std::size_t last_row) {
    for (std::size_t row = first_row; row < last_row; ++row) relax_row(row);
  }

  double finish_step() {
    std::swap(now_, next_);
    double sum = 0.0;
    for (double temperature : now_) sum += temperature;
    const double mean = sum / static_cast<double>(now_.size());
    check_physical(mean);
    return mean;
  }

  Probe& probe() { return probe_; }
  std::size_t size() const { return size_; }

  double conductivity;

 private:
  // Net heat flowing into a cell from its four neighbours.
  double inflow(std::size_t row, std::size_t column) const {
    const std::size_t here = row * size_ + column;
    return now_[here - 1] + now_[here + 1] + now_[here - size_] + now_[here + size_] -
           4.0 * now_[here];
  }

  __attribute__((noinline)) void relax_row(std::size_t row) {
    if (row == 0 || row + 1 >= size_) return;  // the edges keep their temperature
    for (std::size_t column = 1; column + 1 < size_; ++column) {
      const std::size_t here = row * size_ + column;
      next_[here] = now_[here] + conductivity * inflow(row, column);
    }
    if (row == size_ / 2) probe_.record(next_[row * size_ + size_ / 2]);
  }

  void check_physical(double mean) const {
    if (mean >= kCold && mean <= kHot) return;
    throw std::runtime_error("mean temperature is " + std::to_string(mean) +
                             ", outside of 20 to 100: the scheme is unstable at conductivity " +
                             std::to_string(conductivity));
  }

  std::size_t size_;
  std::vector<double> now_;
  std::vector<double> next_;
  Probe probe_;
};

}  // namespace heat

// --- the extension's glue: Python objects on one side, the classes above on the other ---

namespace {

using heat::Plate;

struct PlateObject {
  PyObject_HEAD
  Plate* plate;
};

// Runs `body`; a C++ exception leaves as the Python exception that means the same.
template <typename Body>
auto translate_exceptions(Body body, decltype(body()) failed) -> decltype(body()) {
  try {
    return body();
  } catch (const std::invalid_argument& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return failed;
}

Plate& plate_of(PyObject* self) { return *reinterpret_cast<PlateObject*>(self)->plate; }

int plate_init(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"size", "conductivity", nullptr};
  Py_ssize_t size = 0;
  double conductivity = 0.2;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|d", const_cast<char**>(names), &size,
                                   &conductivity)) {
    return -1;
  }
  auto* object = reinterpret_cast<PlateObject*>(self);
  return translate_exceptions(
      [&] {
        auto* plate = new Plate(size < 0 ? 0 : static_cast<std::size_t>(size), conductivity);
        delete std::exchange(object->plate, plate);
        return 0;
      },
      -1);
}

void plate_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<PlateObject*>(self)->plate;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* plate_relax(PyObject* self, PyObject* args) {
  Py_ssize_t first_row = 0;
  Py_ssize_t last_row = 0;
  if (!PyArg_ParseTuple(args, "nn", &first_row, &last_row)) return nullptr;
  Plate& plate = plate_of(self);
  if (first_row < 0 || last_row < first_row || static_cast<std::size_t>(last_row) > plate.size()) {
    PyErr_Format(PyExc_ValueError, "rows %zd to %zd are not in a plate of %zu rows", first_row,
                 last_row, plate.size());
    return nullptr;
  }
  Py_BEGIN_ALLOW_THREADS
  plate.relax_rows(static_cast<std::size_t>(first_row), static_cast<std::size_t>(last_row));
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

PyObject* plate_finish_step(PyObject* self, PyObject*) {
  return translate_exceptions(
      [&]() -> PyObject* { return PyFloat_FromDouble(plate_of(self).finish_step()); }, nullptr);
}

PyObject* plate_probe_samples(PyObject* self, PyObject*) {
  return PyLong_FromSize_t(plate_of(self).probe().count());
}

PyObject* plate_close_probe(PyObject* self, PyObject*) {
  plate_of(self).probe().close();
  Py_RETURN_NONE;
}

PyObject* plate_get_size(PyObject* self, void*) { return PyLong_FromSize_t(plate_of(self).size()); }

PyObject* plate_get_conductivity(PyObject* self, void*) {
  return PyFloat_FromDouble(plate_of(self).conductivity);
}

int plate_set_conductivity(PyObject* self, PyObject* value, void*) {
  if (value == nullptr) {
    PyErr_SetString(PyExc_AttributeError, "conductivity cannot be deleted");
    return -1;
  }
  const double conductivity = PyFloat_AsDouble(value);
  if (conductivity == -1.0 && PyErr_Occurred()) return -1;
  plate_of(self).conductivity = conductivity;
  return 0;
}

PyMethodDef plate_methods[] = {
    {"relax", plate_relax, METH_VARARGS,
     "Compute the next step of the rows first_row <= row < last_row, without the GIL."},
    {"finish_step", plate_finish_step, METH_NOARGS,
     "Make the computed step the current one; returns the plate's mean temperature."},
    {"probe_samples", plate_probe_samples, METH_NOARGS,
     "Number of samples that the probe in the plate's middle holds."},
    {"close_probe", plate_close_probe, METH_NOARGS,
     "Release the probe's samples; nothing may be recorded afterwards."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef plate_attributes[] = {
    {"size", plate_get_size, nullptr, "Cells along one edge.", nullptr},
    {"conductivity", plate_get_conductivity, plate_set_conductivity,
     "Share of a temperature difference that flows to a neighbour in one step.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot plate_slots[] = {
    {Py_tp_doc, const_cast<char*>("A square metal plate, hot at its left edge.")},
    {Py_tp_new, reinterpret_cast<void*>(PyType_GenericNew)},
    {Py_tp_init, reinterpret_cast<void*>(plate_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(plate_dealloc)},
    {Py_tp_methods, plate_methods},
    {Py_tp_getset, plate_attributes},
    {0, nullptr},
};

PyType_Spec plate_spec = {"victim._physics.Plate", sizeof(PlateObject), 0, Py_TPFLAGS_DEFAULT,
                          plate_slots};

PyModuleDef physics_module = {
    PyModuleDef_HEAD_INIT, "_physics", "The C++ core of the simulation.", -1,
    nullptr, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__physics() {
  PyObject* module = PyModule_Create(&physics_module);
  if (module == nullptr) return nullptr;
  PyObject* type = PyType_FromSpec(&plate_spec);
  if (type == nullptr || PyModule_AddObject(module, "Plate", type) < 0) {
    Py_XDECREF(type);
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
