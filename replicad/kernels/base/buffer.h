// Buffer: bytes that grow at the end, left uninitialised until written (std::string would clear them first).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

namespace replicad {

class Buffer {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  char* data() { return bytes_.get(); }
  std::string_view view() const { return {bytes_.get(), size_}; }

  // Room for `size` more bytes; invalidates what data() and view() gave. Nothing changes when it throws bad_alloc.
  char* Extend(size_t size) {
    if (size > capacity_ - size_) [[unlikely]]
      Grow(size);
    char* added = bytes_.get() + size_;
    size_ += size;
    return added;
  }

  // Room for this many bytes in all, and no more than that.
  void Reserve(size_t size) {
    if (size > capacity_) Resize(size);
  }

  // Forgets the first bytes. Of a buffer that was large most of the memory goes, too.
  void RemovePrefix(size_t size) {
    size_ -= size;
    if (size_ > 0) std::memmove(bytes_.get(), bytes_.get() + size, size_);
    if (capacity_ <= kKeptAfterPrefixMax || size_ > capacity_ / 4) return;
    if (size_ > 0) return Resize(size_);
    bytes_.reset();
    capacity_ = 0;
  }

  // Memory is kept for the next use, but not that of an exceptional size.
  void Clear() {
    size_ = 0;
    if (capacity_ <= kKeptBytesMax) return;
    bytes_.reset();
    capacity_ = 0;
  }

 private:
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  static constexpr size_t kKeptBytesMax = size_t{8} << 20;

  static constexpr size_t kKeptAfterPrefixMax = size_t{16} << 10;

  void Grow(size_t size) { Resize(std::max({size_ + size, capacity_ + capacity_ / 2, size_t{256}})); }

  void Resize(size_t capacity) {
    auto* bytes = static_cast<char*>(std::realloc(bytes_.get(), capacity));
    if (bytes == nullptr) throw std::bad_alloc();
    static_cast<void>(bytes_.release());
    bytes_.reset(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char, Free> bytes_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace replicad
