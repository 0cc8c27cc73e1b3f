// Callable: a Python callable that a kernel keeps. Part of the bindings.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "bindings/module_attribute.h"
#include "bindings/module_inflight.h"

namespace replicad {

// Copies share it. A class of Python that owns one shows ptr() to the garbage collector where it may be in a
// cycle.
class Callable {
 public:
  explicit Callable(nanobind::object function) : function_(std::make_shared<Kept>(std::move(function))) {}

  nanobind::object Call() const { return Called(function_->get()); }
  void operator()() const { Call(); }
  PyObject* ptr() const { return function_->ptr(); }

 private:
  std::shared_ptr<Kept> function_;
};

// A clock of Python's: seconds as a float.
struct PyClock {
  Callable function;

  double operator()() const { return nanobind::cast<double>(function.Call()); }
};

}  // namespace replicad
