#include "log/apply.h"

namespace replicad {
namespace {

// Enough to cover the way to memory, few enough for the processor to have them all under way.
constexpr int kPrefetchedOperations = 4;

// Runs ahead of the insertions, from frame to frame, so that the leaves they search are there by then. The memory that
// the first insertion needs is its caller's affair: a single operation is not looked at twice.
class Lookahead {
 public:
  Lookahead(std::string_view frames, size_t offset, MemtableSet& memtables)
      : frames_(frames, offset), memtables_(memtables) {
    Operation first;
    more_ = Read(&first);
    for (int i = 1; i < kPrefetchedOperations; ++i) Next();
  }

  void Next() {
    if (!more_) return;
    Operation operation;
    more_ = Read(&operation);
    if (!more_ || operation.IsAnnotation() || operation.IsControl()) return;
    if (const Memtable* memtable = memtables_.Find(operation.family)) memtable->Prefetch(operation.key);
  }

 private:
  bool Read(Operation* operation) {
    while (!body_.Next(operation)) {
      if (!frames_.Next()) return false;
      body_ = BatchReader(frames_.body(), frames_.body_start());
    }
    return true;
  }

  FrameReader frames_;
  BatchReader body_{{}};
  MemtableSet& memtables_;
  bool more_;
};

// Inserts the puts and deletes of one body, numbered from `first_sequence`. Operations of families that are not in the
// set are skipped: those were dropped. Appends control operations to `controls` unless it is null.
void ApplyBody(const FrameReader& frame, MemtableSet& memtables, Lookahead& ahead,
               std::vector<NumberedOperation>* controls) {
  uint64_t sequence = frame.header().first_sequence;
  BatchReader reader(frame.body(), frame.body_start());
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

}  // namespace

void ApplyFrames(std::string_view frames, MemtableSet& memtables) {
  FrameReader reader(frames, 0);
  for (Lookahead ahead(frames, 0, memtables); reader.Next();) ApplyBody(reader, memtables, ahead, nullptr);
}

size_t ApplyFrames(std::string_view frames, size_t offset, MemtableSet& memtables,
                   std::vector<NumberedOperation>* controls) {
  FrameReader reader(frames, offset);
  for (Lookahead ahead(frames, offset, memtables); controls->empty() && reader.Next();) {
    ApplyBody(reader, memtables, ahead, controls);
  }
  return reader.offset();
}

}  // namespace replicad
