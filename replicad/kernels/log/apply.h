// Applies frames to memtables: on the primary right after its append, on a replica after its own, and in recovery.
#pragma once

#include <string_view>
#include <vector>

#include "log/frame.h"
#include "memtable/memtable_set.h"

namespace replicad {

struct NumberedOperation {
  uint64_t sequence;
  Operation operation;
};

// Applies frames whose control operations were acted on already, or that hold none.
void ApplyFrames(std::string_view frames, MemtableSet& memtables);

// Applies frames from `offset` on and stops after the first one that holds a control operation, so that the caller acts
// on it before what follows. Returns the offset to go on from. The frames were scanned before.
size_t ApplyFrames(std::string_view frames, size_t offset, MemtableSet& memtables,
                   std::vector<NumberedOperation>* controls);

}  // namespace replicad
