// Overlay: what the frames of an open write group make of each key, found without waiting for the log.
//
// The frames stand in one buffer, which grows and may move: a slot remembers places in it. Frames are taken in when
// somebody looks, so a group that nobody reads costs nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/xxh64.h"
#include "log/frame.h"

namespace replicad {

class Overlay {
 public:
  // A seed that nobody knows: a client must not be able to choose keys that fall together.
  explicit Overlay(uint64_t seed) : seed_(seed) {}

  // The group's last operation on the key (PUT or DELETE); nothing when it has none. The views point into `frames`.
  std::optional<Operation> Find(std::string_view frames, uint32_t family, std::string_view key) {
    TakeIn(frames);
    if (used_ == 0) return std::nullopt;
    const Slot& slot = slots_[Place(frames, Hash(family, key), family, key)];
    if (!slot.used) return std::nullopt;
    return slot.In(frames);
  }

  // Every key's last operation, in any order.
  template <typename Visit>
  void Each(std::string_view frames, Visit visit) {
    TakeIn(frames);
    for (const Slot& slot : slots_) {
      if (slot.used) visit(slot.In(frames));
    }
  }

  void Clear() {
    taken_ = used_ = 0;
    if (slots_.size() > kKeptSlotsMax) {
      slots_ = {};
    } else {
      std::fill(slots_.begin(), slots_.end(), Slot{});
    }
  }

 private:
  struct Slot {
    uint64_t hash;
    size_t key, value;  // places in the frames
    uint32_t key_bytes, value_bytes, family;
    Tag tag;
    bool used;

    Operation In(std::string_view frames) const {
      return {tag, family, frames.substr(key, key_bytes), frames.substr(value, value_bytes)};
    }
  };
  static constexpr size_t kKeptSlotsMax = size_t{1} << 14;
  static constexpr size_t kSlotsMin = 64;

  uint64_t Hash(uint32_t family, std::string_view key) const { return Xxh64(key, seed_ + family); }

  // Of the key's slot, or of the free one that it would get.
  size_t Place(std::string_view frames, uint64_t hash, uint32_t family, std::string_view key) const {
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[at];
      const bool is_it = slot.hash == hash && slot.family == family && frames.substr(slot.key, slot.key_bytes) == key;
      if (!slot.used || is_it) return at;
    }
  }

  void TakeIn(std::string_view frames) {
    if (taken_ == frames.size()) return;
    FrameReader reader(frames, taken_);
    while (reader.Next()) {
      BatchReader body(reader.body());
      for (Operation operation; body.Next(&operation);) {
        if (operation.tag == Tag::kPut || operation.tag == Tag::kDelete) Insert(frames, operation);
      }
    }
    taken_ = frames.size();
  }

  void Insert(std::string_view frames, const Operation& operation) {
    if (2 * (used_ + 1) > slots_.size()) Grow(frames);
    const uint64_t hash = Hash(operation.family, operation.key);
    Slot& slot = slots_[Place(frames, hash, operation.family, operation.key)];
    used_ += slot.used ? 0 : 1;
    const auto place = [&](std::string_view part) {
      return part.empty() ? size_t{0} : static_cast<size_t>(part.data() - frames.data());
    };
    slot = {hash,
            place(operation.key),
            place(operation.value),
            static_cast<uint32_t>(operation.key.size()),
            static_cast<uint32_t>(operation.value.size()),
            operation.family,
            operation.tag,
            true};
  }

  void Grow(std::string_view frames) {
    std::vector<Slot> old(std::max(kSlotsMin, 2 * slots_.size()));
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (!slot.used) continue;
      slots_[Place(frames, slot.hash, slot.family, frames.substr(slot.key, slot.key_bytes))] = slot;
    }
  }

  const uint64_t seed_;
  std::vector<Slot> slots_;  // a power of two
  size_t used_ = 0;
  size_t taken_ = 0;  // bytes of the frames
};

}  // namespace replicad
