// What a kernel throws. Nothing else leaves one, apart from std::bad_alloc; module.cc makes Python exceptions of them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace replicad {

// Bytes that are not what was written. `offset` counts from the beginning of the bytes that were handed in.
class Corruption : public std::runtime_error {
 public:
  Corruption(const std::string& reason, uint64_t offset) : std::runtime_error(reason), offset_(offset) {}
  uint64_t offset() const { return offset_; }

 private:
  uint64_t offset_;
};

// An argument outside the limits of a format; nothing was changed.
class LimitError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Called in the middle of another call of the same thread, which cannot be waited for; nothing was changed.
class Busy : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// What is asked for is over; nothing was changed.
class Closed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace replicad
