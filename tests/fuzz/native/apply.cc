// A body put into memtables, against a map: what a replica does with what its primary sent.
#include "log/apply.h"

#include <map>

#include "harness.h"
#include "memtable/memtable.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

constexpr uint64_t kFirst = 100;

// The body as the only frame; nothing but what a reader of scanned frames looks at is in its header.
std::string Framed(std::string_view body) {
  std::string frame(kFrameHeaderBytes, '\0');
  StoreU32(frame.data() + frame_offset::kBodyLength, static_cast<uint32_t>(body.size()));
  StoreU64(frame.data() + frame_offset::kFirstSequence, kFirst);
  return frame.append(body);
}

// By key, then newest first.
struct Order {
  bool operator()(const std::pair<std::string, uint64_t>& a, const std::pair<std::string, uint64_t>& b) const {
    const int order = a.first.compare(b.first);
    return order < 0 || (order == 0 && a.second > b.second);
  }
};
using Model = std::map<std::pair<std::string, uint64_t>, std::string, Order>;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body = Input(data, size);
  MemtableSet memtables;
  memtables.Set(0, std::make_shared<Memtable>());
  memtables.Set(1, std::make_shared<Memtable>());
  std::vector<NumberedOperation> controls;
  const std::string frames = Framed(body);
  if (!Accepts(size, [&] { ValidateBatch(body); })) {
    Accepts(frames.size(), [&] { ApplyFrames(frames, 0, memtables, &controls); });
    return 0;
  }
  ApplyFrames(frames, 0, memtables, &controls);
  Model models[2];
  uint64_t sequence = kFirst;
  BatchReader reader(body);
  for (Operation operation; reader.Next(&operation);) {
    if (operation.IsAnnotation()) continue;
    if (!operation.IsControl() && operation.family < 2) {
      const EntryKind kind = operation.tag == Tag::kPut ? EntryKind::kPut : EntryKind::kDelete;
      models[operation.family][{std::string(operation.key), MakeTrailer(sequence, kind)}] = operation.value;
    }
    ++sequence;
  }
  for (uint32_t family = 0; family < 2; ++family) {
    const auto memtable = memtables.Get(family);
    MemtableIterator at(memtable.get());
    at.SeekToFirst();
    for (const auto& [key, value] : models[family]) {
      Require(at.Valid() && at.key() == key.first && at.trailer() == key.second && at.value() == value,
              "the memtable's order or content is not the model's");
      const Memtable::Record* found = memtable->Get(key.first, TrailerSequence(key.second));
      Require(found != nullptr && found->trailer == key.second && found->value() == value, "a version is not found");
      at.Next();
    }
    Require(!at.Valid(), "the memtable holds more than the model");
  }
  return 0;
}
