#include "log/apply.h"

namespace replicad {
namespace {

// Enough to cover the way to memory, few enough for the processor to have them all under way.
constexpr int kPrefetchedOperations = 4;

// Runs ahead of the insertions of a body, so that the leaves they search are there by then. The memory that the first
// insertion needs is its caller's affair: a body of one operation is not walked twice.
class Lookahead {
 public:
  Lookahead(std::string_view body, uint64_t base, MemtableSet& memtables) : reader_(body, base), memtables_(memtables) {
    Operation first;
    more_ = reader_.Next(&first);
    for (int i = 1; i < kPrefetchedOperations; ++i) Next();
  }

  void Next() {
    if (!more_) return;
    Operation operation;
    more_ = reader_.Next(&operation);
    if (!more_ || operation.IsAnnotation() || operation.IsControl()) return;
    if (const Memtable* memtable = memtables_.Find(operation.family)) memtable->Prefetch(operation.key);
  }

 private:
  BatchReader reader_;
  MemtableSet& memtables_;
  bool more_;
};

}  // namespace

void ApplyBody(std::string_view body, uint64_t base, uint64_t first_sequence, MemtableSet& memtables,
               std::vector<NumberedOperation>* controls) {
  uint64_t sequence = first_sequence;
  BatchReader reader(body, base);
  Lookahead ahead(body, base, memtables);
  for (Operation operation; reader.Next(&operation);) {
    ahead.Next();
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
