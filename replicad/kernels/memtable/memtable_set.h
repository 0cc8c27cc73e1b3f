// MemtableSet: which memtable takes the operations of which column family. The GIL protects it, as it does memtables.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "log/batch.h"
#include "memtable/memtable.h"

namespace replicad {

class MemtableSet {
 public:
  void Set(uint32_t family, std::shared_ptr<Memtable> memtable) {
    const auto at = LowerBound(family);
    if (at != members_.end() && at->first == family) {
      at->second = std::move(memtable);
    } else {
      members_.emplace(at, family, std::move(memtable));
    }
  }

  void Remove(uint32_t family) {
    const auto at = LowerBound(family);
    if (at != members_.end() && at->first == family) members_.erase(at);
  }

  // Null for a family that is not here.
  std::shared_ptr<Memtable> Get(uint32_t family) {
    const auto at = LowerBound(family);
    return at != members_.end() && at->first == family ? at->second : nullptr;
  }

  Memtable* Find(uint32_t family) {
    if (!members_.empty() && members_.front().first == family) return members_.front().second.get();
    const auto at = LowerBound(family);
    return at != members_.end() && at->first == family ? at->second.get() : nullptr;
  }

  // The first family that an operation of the batch names and that is not here. A batch of the default family alone
  // is not walked.
  std::optional<uint32_t> UnknownFamily(const Batch& batch) {
    if (batch.counts().family_max == 0 && Find(0) != nullptr) return std::nullopt;
    BatchReader reader(batch.data());
    for (Operation operation; reader.Next(&operation);) {
      if (operation.IsControl() || operation.IsAnnotation()) continue;
      if (Find(operation.family) == nullptr) return operation.family;
    }
    return std::nullopt;
  }

  // Of those that are not empty: what sealing them would hand over.
  size_t memory_bytes() const {
    size_t sum = 0;
    for (const auto& member : members_) {
      if (member.second->entries() != 0) sum += member.second->memory_bytes();
    }
    return sum;
  }

 private:
  using Member = std::pair<uint32_t, std::shared_ptr<Memtable>>;

  std::vector<Member>::iterator LowerBound(uint32_t family) {
    return std::lower_bound(members_.begin(), members_.end(), family,
                            [](const Member& member, uint32_t id) { return member.first < id; });
  }

  std::vector<Member> members_;  // by family id
};

}  // namespace replicad
