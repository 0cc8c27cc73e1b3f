// Arena: memory that is handed out piece by piece and given back all at once, counted exactly.
//
// Pieces stay where they are until the arena is destroyed; nothing is constructed or destructed in them. Large chunks
// are mapped by themselves, so that all of a freed arena goes back to the system, whatever malloc would keep. Not
// thread-safe: the owner serialises Allocate; pieces handed out before may be read meanwhile.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
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
  static constexpr size_t kMappedBytesMin = size_t{128} << 10;

  struct Release {
    size_t bytes;
    void operator()(char* chunk) const {
      if (bytes >= kMappedBytesMin) {
        munmap(chunk, bytes);
      } else {
        ::operator delete(chunk);
      }
    }
  };
  using Chunk = std::unique_ptr<char, Release>;

  char* AllocateFromNewChunk(size_t need) {
    const size_t chunk_bytes = std::clamp(memory_bytes_ / 8 & ~size_t{4095}, kChunkBytesMin, kChunkBytesMax);
    if (need > chunk_bytes / 4) return AddChunk(need);  // a chunk of its own; the current one goes on
    next_ = AddChunk(chunk_bytes);
    left_ = chunk_bytes;
    return Allocate(need);
  }

  char* AddChunk(size_t size) {
    chunks_.push_back(Chunk(NewChunk(size), Release{size}));
    memory_bytes_ += size;
    return chunks_.back().get();
  }

  static char* NewChunk(size_t size) {
    if (size < kMappedBytesMin) return static_cast<char*>(::operator new(size));
    // Populated at once: one call costs less than a fault a page.
    void* chunk = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (chunk == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(chunk);
  }

  std::vector<Chunk> chunks_;
  char* next_ = nullptr;
  size_t left_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace replicad
