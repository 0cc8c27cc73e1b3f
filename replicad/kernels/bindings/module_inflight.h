// InFlight: a call that lets go of the GIL, or calls back into Python which may. Part of the bindings.
//
// A thread that asks for the GIL while the interpreter ends is ended by CPython, with an unwinding that C++ frames turn
// into std::terminate. So no such call may be under way by then: those that begin later are refused, and the end
// waits for the others (`finish`). Only looked at with the GIL held.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "base/errors.h"

namespace replicad {

// The end waits for who has one of these.
class Counted {
 public:
  Counted() { ++count; }
  Counted(const Counted&) = delete;
  ~Counted() { --count; }

  static inline bool ending = false;
  static inline long count = 0;
};

class InFlight {
 public:
  InFlight() {
    if (Counted::ending) [[unlikely]]
      throw Closed("the interpreter is ending");
  }

 private:
  const Counted counted_;
};

// A Python object that an object of C++ owns. Letting go of it may run Python code (a file's __del__), within a
// destructor that no unwinding may leave: so the end waits for that, too, and from then on it is not let go of.
class Kept {
 public:
  Kept() = default;
  explicit Kept(nanobind::object object) : object_(std::move(object)) {}
  Kept(const Kept&) = delete;
  ~Kept() { Drop(); }

  // Null when it was let go of.
  const nanobind::object& get() const { return object_; }
  PyObject* ptr() const { return object_.ptr(); }

  void Set(nanobind::object object) {
    Drop();
    object_ = std::move(object);
  }

  void Drop() {
    nanobind::object dropped = std::move(object_);
    if (Counted::ending) {
      dropped.release();
      return;
    }
    const Counted counted;
    dropped.reset();
  }

 private:
  nanobind::object object_;
};

}  // namespace replicad
