#include "resp/write_group.h"

#include <algorithm>

#include "base/errors.h"

namespace replicad {

WriteGroup::~WriteGroup() {
  for (ReplyQueue* queue : queues_) queue->group_ = nullptr;
}

void WriteGroup::Put(ReplyQueue& queue, uint32_t family, std::string_view key, std::string_view value) {
  CheckKey(key);
  CheckValue(value);
  const bool linked = stamps_.Links(family);
  const size_t stamp_bytes = linked ? stamps_.StampBytes(key) : 0;
  char* to = BeginWrites(queue, family, PutOperationSize(family, key, value), stamp_bytes, 1);
  to = PutPutOperation(to, family, key, value);
  if (linked) stamps_.PutClock(stamps_.PutStamp(to, family, key, false));
}

void WriteGroup::PutAll(ReplyQueue& queue, uint32_t family, const std::vector<std::string_view>& keys_and_values) {
  const bool linked = stamps_.Links(family);
  size_t body_bytes = 0, stamp_bytes = 0;
  for (size_t i = 0; i < keys_and_values.size(); i += 2) {
    CheckKey(keys_and_values[i]);
    CheckValue(keys_and_values[i + 1]);
    body_bytes += PutOperationSize(family, keys_and_values[i], keys_and_values[i + 1]);
    if (linked) stamp_bytes += stamps_.StampBytes(keys_and_values[i]);
  }
  char* to = BeginWrites(queue, family, body_bytes, stamp_bytes, keys_and_values.size() / 2);
  for (size_t i = 0; i < keys_and_values.size(); i += 2) {
    to = PutPutOperation(to, family, keys_and_values[i], keys_and_values[i + 1]);
  }
  if (!linked) return;
  for (size_t i = 0; i < keys_and_values.size(); i += 2) to = stamps_.PutStamp(to, family, keys_and_values[i], false);
  stamps_.PutClock(to);
}

void WriteGroup::DeleteAll(ReplyQueue& queue, uint32_t family, const std::vector<std::string_view>& keys) {
  const bool linked = stamps_.Links(family);
  size_t body_bytes = 0, stamp_bytes = 0;
  for (const std::string_view key : keys) {
    CheckKey(key);
    body_bytes += DeleteOperationSize(family, key);
    if (linked) stamp_bytes += stamps_.StampBytes(key);
  }
  char* to = BeginWrites(queue, family, body_bytes, stamp_bytes, keys.size());
  for (const std::string_view key : keys) to = PutDeleteOperation(to, family, key);
  if (!linked) return;
  for (const std::string_view key : keys) to = stamps_.PutStamp(to, family, key, true);
  stamps_.PutClock(to);
}

void WriteGroup::Add(ReplyQueue& queue, const Batch& batch) {
  if (batch.data().empty()) throw LimitError("a batch with nothing in it has no frame");
  const BatchCounts& counts = batch.counts();
  if (counts.has_control) throw LimitError("a client's batch changes families' entries only");
  PutBytes(Begin(queue, batch.data().size(), counts.operations, counts.family_max), batch.data());
}

void WriteGroup::AddAll(ReplyQueue& queue, uint32_t family, const std::vector<Transaction::Change>& changes) {
  const bool linked = stamps_.Links(family);
  size_t body_bytes = 0, stamp_bytes = 0;
  for (const auto& change : changes) {
    body_bytes +=
        change.deletes ? DeleteOperationSize(family, change.key) : PutOperationSize(family, change.key, change.value);
    if (linked) stamp_bytes += stamps_.StampBytes(change.key);
  }
  char* to = BeginWrites(queue, family, body_bytes, stamp_bytes, changes.size());
  for (const auto& change : changes) {
    to = change.deletes ? PutDeleteOperation(to, family, change.key)
                        : PutPutOperation(to, family, change.key, change.value);
  }
  if (!linked) return;
  for (const auto& change : changes) to = stamps_.PutStamp(to, family, change.key, change.deletes);
  stamps_.PutClock(to);
}

char* WriteGroup::BeginWrites(ReplyQueue& queue, uint32_t family, size_t body_bytes, size_t stamp_bytes,
                              size_t writes) {
  const auto count = static_cast<uint32_t>(writes);
  if (stamp_bytes == 0) return Begin(queue, body_bytes, count, family);
  char* to = Begin(queue, body_bytes + stamp_bytes + stamps_.ClockBytes(), 2 * count + 1, stamps_.FamilyMax(family));
  // Only now: what Begin refuses leaves the clock alone.
  stamps_.Tick();
  return to;
}

char* WriteGroup::Begin(ReplyQueue& queue, size_t body_bytes, uint32_t operations, uint32_t family) {
  if (body_bytes > kBodyBytesMax) throw LimitError("a batch has at most 128 MiB");
  Prepare();
  char* frame = frames_.Extend(kFrameHeaderBytes + body_bytes);
  StoreU32(frame + frame_offset::kBodyLength, static_cast<uint32_t>(body_bytes));
  StoreU32(frame + frame_offset::kOperationCount, operations);
  numbers_ += std::max<uint64_t>(1, operations);
  family_max_ = std::max(family_max_, family);
  Join(queue);
  queue.last_in_group_ = numbers_;
  ++batches_;
  return frame + kFrameHeaderBytes;
}

void WriteGroup::Depend(ReplyQueue& queue) { Join(queue); }

void WriteGroup::Join(ReplyQueue& queue) {
  if (queue.group_ == nullptr) queues_.push_back(&queue);
  queue.Join(this);
}

std::optional<uint32_t> WriteGroup::UnknownFamily(MemtableSet& memtables) const {
  if (family_max_ == 0 && memtables.Find(0) != nullptr) return std::nullopt;
  for (FrameReader reader(frames_.view(), 0); reader.Next();) {
    BatchReader body(reader.body());
    for (Operation operation; body.Next(&operation);) {
      if (!operation.IsAnnotation() && memtables.Find(operation.family) == nullptr) return operation.family;
    }
  }
  return std::nullopt;
}

void WriteGroup::Settle(uint64_t last) {
  for (ReplyQueue* queue : queues_) {
    queue->Settle(last);
    if (queue->last_in_group_ != 0) queue->last_write_ = last - numbers_ + queue->last_in_group_;
  }
  Empty();
}

void WriteGroup::Fail(std::string_view reply) {
  for (ReplyQueue* queue : queues_) queue->FailPending(reply);
  Empty();
}

void WriteGroup::Empty() {
  for (ReplyQueue* queue : queues_) {
    queue->group_ = nullptr;
    queue->last_in_group_ = 0;
  }
  queues_.clear();
  frames_.Clear();
  overlay_.Clear();
  batches_ = 0;
  numbers_ = 0;
  family_max_ = 0;
}

}  // namespace replicad
