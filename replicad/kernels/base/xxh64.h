// XXH64 (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md): the history hash and the hash of bloom filters.
// Not a cryptographic hash. Thread-safe.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace replicad {

inline constexpr size_t kXxh64StripeBytes = 32;

namespace xxh64_detail {

inline constexpr uint64_t kPrime1 = 0x9e3779b185ebca87;
inline constexpr uint64_t kPrime2 = 0xc2b2ae3d27d4eb4f;
inline constexpr uint64_t kPrime3 = 0x165667b19e3779f9;
inline constexpr uint64_t kPrime4 = 0x85ebca77c2b2ae63;
inline constexpr uint64_t kPrime5 = 0x27d4eb2f165667c5;

inline uint64_t Round(uint64_t lane, uint64_t input) { return std::rotl(lane + input * kPrime2, 31) * kPrime1; }
inline uint64_t Merge(uint64_t hash, uint64_t lane) { return (hash ^ Round(0, lane)) * kPrime1 + kPrime4; }

struct Lanes {
  uint64_t a, b, c, d;

  explicit Lanes(uint64_t seed) : a(seed + kPrime1 + kPrime2), b(seed + kPrime2), c(seed), d(seed - kPrime1) {}

  void Stripe(const uint8_t* at) {
    a = Round(a, LoadU64(at));
    b = Round(b, LoadU64(at + 8));
    c = Round(c, LoadU64(at + 16));
    d = Round(d, LoadU64(at + 24));
  }

  uint64_t Join() const {
    const uint64_t hash = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    return Merge(Merge(Merge(Merge(hash, a), b), c), d);
  }
};

// The last, less than 32 bytes long part.
inline uint64_t Finish(uint64_t hash, const uint8_t* at, size_t size) {
  for (; size >= 8; at += 8, size -= 8) hash = std::rotl(hash ^ Round(0, LoadU64(at)), 27) * kPrime1 + kPrime4;
  if (size >= 4) {
    hash = std::rotl(hash ^ (LoadU32(at) * kPrime1), 23) * kPrime2 + kPrime3;
    at += 4;
    size -= 4;
  }
  for (; size > 0; ++at, --size) hash = std::rotl(hash ^ (*at * kPrime5), 11) * kPrime1;
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace xxh64_detail

inline uint64_t Xxh64(const void* data, size_t size, uint64_t seed = 0) {
  using namespace xxh64_detail;
  const auto* at = static_cast<const uint8_t*>(data);
  size_t left = size;
  uint64_t hash = seed + kPrime5;
  if (left >= kXxh64StripeBytes) {
    Lanes lanes(seed);
    for (; left >= kXxh64StripeBytes; at += kXxh64StripeBytes, left -= kXxh64StripeBytes) lanes.Stripe(at);
    hash = lanes.Join();
  }
  return Finish(hash + size, at, left);
}

inline uint64_t Xxh64(std::string_view data, uint64_t seed = 0) { return Xxh64(data.data(), data.size(), seed); }

// Xxh64(stripe[0:32] || data): spares joining a short header and a long body in memory.
inline uint64_t Xxh64WithStripe(const void* stripe, std::string_view data, uint64_t seed) {
  using namespace xxh64_detail;
  Lanes lanes(seed);
  lanes.Stripe(static_cast<const uint8_t*>(stripe));
  const auto* at = reinterpret_cast<const uint8_t*>(data.data());
  size_t left = data.size();
  for (; left >= kXxh64StripeBytes; at += kXxh64StripeBytes, left -= kXxh64StripeBytes) lanes.Stripe(at);
  return Finish(lanes.Join() + kXxh64StripeBytes + data.size(), at, left);
}

}  // namespace replicad
