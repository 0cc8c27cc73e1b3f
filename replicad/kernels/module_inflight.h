// InFlight: a call that lets go of the GIL, or calls back into Python which may. Part of the bindings.
//
// A thread that asks for the GIL while the interpreter ends is ended by CPython, with an unwinding that C++ frames turn
// into std::terminate. So no such call may be under way by then: those that begin later are refused, and the end
// waits for the others (`finish`). Only looked at with the GIL held.
#pragma once

#include "errors.h"

namespace replicad {

class InFlight {
 public:
  InFlight() {
    if (ending) [[unlikely]] throw Closed("the interpreter is ending");
    ++count;
  }
  InFlight(const InFlight&) = delete;
  ~InFlight() { --count; }

  static inline bool ending = false;
  static inline long count = 0;
};

}  // namespace replicad
