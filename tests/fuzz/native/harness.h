// What the targets share: how an input is cut into parts, and what happens when a promise is broken.
//
// A target reads its input as one format. Corruption is an answer; a crash, a sanitizer's report, or a Require
// that does not hold is a failure, and libFuzzer keeps the input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/errors.h"

namespace replicad::fuzz {

inline std::string_view Input(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

// Whether `read` went through; false for Corruption, whose offset must lie within the input.
template <typename Read>
bool Accepts(size_t input_bytes, Read read) {
  try {
    read();
    return true;
  } catch (const Corruption& error) {
    Require(error.offset() <= input_bytes, "an error names an offset beyond the input");
    return false;
  }
}

// Takes parts off the front of an input: u16 length, then that many bytes or what is left.
class Parts {
 public:
  explicit Parts(std::string_view input) : rest_(input) {}

  bool Empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::string_view Next() {
    if (rest_.size() < 2) return std::exchange(rest_, {});
    const size_t size = static_cast<uint8_t>(rest_[0]) | static_cast<uint8_t>(rest_[1]) << 8;
    const std::string_view part = rest_.substr(2, size);
    rest_.remove_prefix(2 + part.size());
    return part;
  }
  std::string_view Rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace replicad::fuzz
