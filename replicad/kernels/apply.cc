#include "apply.h"

namespace replicad {

void ApplyBody(std::string_view body, uint64_t base, uint64_t first_sequence, MemtableSet& memtables,
               std::vector<NumberedOperation>* controls) {
  uint64_t sequence = first_sequence;
  BatchReader reader(body, base);
  for (Operation operation; reader.Next(&operation);) {
    if (operation.IsAnnotation()) continue;
    if (operation.IsControl()) {
      if (controls != nullptr) controls->push_back({sequence, operation});
    } else if (Memtable* memtable = memtables.Find(operation.family)) {
      const EntryKind kind = operation.tag == Tag::kPut ? EntryKind::kPut : EntryKind::kDelete;
      memtable->Add(operation.key, MakeTrailer(sequence, kind), operation.value);
    }
    ++sequence;
  }
}

size_t ApplyFrames(std::string_view frames, size_t offset, MemtableSet& memtables,
                   std::vector<NumberedOperation>* controls) {
  FrameReader reader(frames, offset);
  while (controls->empty() && reader.Next()) {
    ApplyBody(reader.body(), reader.body_start(), reader.header().first_sequence, memtables, controls);
  }
  return reader.offset();
}

}  // namespace replicad
