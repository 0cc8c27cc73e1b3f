// Requests as Python sees them. Part of the bindings.
#pragma once

#include <nanobind/nanobind.h>

#include "bindings/module_bytes.h"
#include "resp/request_parser.h"

namespace replicad {

// Its arguments, the command's name first.
inline nanobind::object ToList(const Request& request) {
  nanobind::object list = nanobind::steal(PyList_New(static_cast<Py_ssize_t>(request.size())));
  if (!list.is_valid()) throw nanobind::python_error();
  for (size_t i = 0; i < request.size(); ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), ToBytes(request[i]).release().ptr());
  }
  return list;
}

}  // namespace replicad
