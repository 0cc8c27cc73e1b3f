// Arena: memory that is handed out piece by piece and given back all at once, counted exactly.
//
// Pieces stay where they are until the arena is destroyed; nothing is constructed or destructed in them. Not
// thread-safe: the owner serialises Allocate; pieces handed out before may be read meanwhile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

namespace replicad {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `size` bytes, aligned for any 8-byte word.
  char* Allocate(size_t size) {
    const size_t need = (size + 7) & ~size_t{7};
    if (need > left_) return AllocateFromNewChunk(need);
    char* piece = next_;
    next_ += need;
    left_ -= need;
    return piece;
  }

  // What this arena holds from the system, unused rests of chunks and its own bookkeeping included.
  size_t memory_bytes() const { return memory_bytes_ + chunks_.capacity() * sizeof(chunks_[0]); }

 private:
  // Chunks grow with the arena: an unused rest is never more than about an eighth of the whole, nor than a MiB.
  static constexpr size_t kChunkBytesMin = size_t{4} << 10;
  static constexpr size_t kChunkBytesMax = size_t{1} << 20;

  char* AllocateFromNewChunk(size_t need) {
    const size_t chunk_bytes = std::clamp(memory_bytes_ / 8 & ~size_t{4095}, kChunkBytesMin, kChunkBytesMax);
    if (need > chunk_bytes / 4) return AddChunk(need);  // a chunk of its own; the current one goes on
    next_ = AddChunk(chunk_bytes);
    left_ = chunk_bytes;
    return Allocate(need);
  }

  char* AddChunk(size_t size) {
    chunks_.push_back(std::unique_ptr<char[]>(new char[size]));
    memory_bytes_ += size;
    return chunks_.back().get();
  }

  std::vector<std::unique_ptr<char[]>> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace replicad
