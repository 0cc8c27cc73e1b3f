// BytesLike: an argument that accepts any contiguous bytes-like object, without a copy. Part of the bindings.
#pragma once

#include <nanobind/nanobind.h>

#include <string_view>
#include <utility>

#include "bindings/module_inflight.h"

namespace replicad {

// Holds the object's buffer for as long as it lives, so the view stays good even while the GIL is released (a
// bytearray cannot be resized meanwhile; its owner must not write into it). Made and destroyed with the GIL held.
class BytesLike {
 public:
  BytesLike() = default;
  BytesLike(const BytesLike&) = delete;
  BytesLike& operator=(const BytesLike&) = delete;
  BytesLike(BytesLike&& other) noexcept : buffer_(std::exchange(other.buffer_, {})) {}
  ~BytesLike() { PyBuffer_Release(&buffer_); }

  // False, with no Python error set, when `object` is not bytes-like.
  bool Hold(PyObject* object) {
    if (PyObject_GetBuffer(object, &buffer_, PyBUF_SIMPLE) == 0) return true;
    PyErr_Clear();
    buffer_ = {};
    return false;
  }

  std::string_view view() const { return {static_cast<const char*>(buffer_.buf), static_cast<size_t>(buffer_.len)}; }

 private:
  Py_buffer buffer_{};
};

inline std::string_view View(const nanobind::bytes& data) { return {data.c_str(), data.size()}; }

inline nanobind::bytes ToBytes(std::string_view data) { return nanobind::bytes(data.data(), data.size()); }

// Work on less than this is done before another thread could have taken the GIL.
inline constexpr size_t kReleaseGilBytes = size_t{64} << 10;

// Runs `work`, without the GIL when it is long.
template <typename Work>
auto WithoutGilIf(bool long_work, Work work) {
  if (!long_work) return work();
  const InFlight in_flight;
  nanobind::gil_scoped_release released;
  return work();
}

}  // namespace replicad

namespace nanobind::detail {

template <>
struct type_caster<replicad::BytesLike> {
  static constexpr auto Name = const_name("bytes | bytearray | memoryview");
  template <typename T>
  using Cast = movable_cast_t<T>;
  template <typename T>
  static constexpr bool can_cast() {
    return true;
  }

  bool from_python(handle source, uint8_t, cleanup_list*) noexcept { return value.Hold(source.ptr()); }

  explicit operator replicad::BytesLike*() { return &value; }
  explicit operator replicad::BytesLike&() { return value; }
  explicit operator replicad::BytesLike&&() { return std::move(value); }

  replicad::BytesLike value;
};

}  // namespace nanobind::detail
