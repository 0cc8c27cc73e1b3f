// What a kernel asks of a Python object: a call without arguments, an attribute. Part of the bindings.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

namespace replicad {

inline nanobind::object Called(nanobind::handle function) {
  PyObject* result = PyObject_CallNoArgs(function.ptr());
  if (result == nullptr) throw nanobind::python_error();
  return nanobind::steal(result);
}

// An attribute of a Python object, by a name that was made once.
class Name {
 public:
  explicit Name(const char* name) : name_(nanobind::steal(PyUnicode_InternFromString(name))) {}

  nanobind::object Of(nanobind::handle object) const {
    PyObject* value = PyObject_GetAttr(object.ptr(), name_.ptr());
    if (value == nullptr) throw nanobind::python_error();
    return nanobind::steal(value);
  }

  bool IsTrueOf(nanobind::handle object) const { return Of(object).is(Py_True); }

  void Set(nanobind::handle object, uint64_t value) const {
    const nanobind::object number = nanobind::steal(PyLong_FromUnsignedLongLong(value));
    if (!number.is_valid() || PyObject_SetAttr(object.ptr(), name_.ptr(), number.ptr()) != 0)
      throw nanobind::python_error();
  }

 private:
  nanobind::object name_;
};

}  // namespace replicad
