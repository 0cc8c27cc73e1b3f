// WriteGroup: the batches that clients wrote since the last group went to the log, and the queues whose replies wait.
//
// Each batch is a frame whose header is filled when the log's writer numbers it (FrameWriter::AddFrames): until then
// the header holds only its body's length and how many operations are in it. So a value is copied once, from the
// client's input into the frame. Writes in linked families get their stamps here, but for those of `Add`, which has its
// own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "log/batch.h"
#include "memtable/memtable_set.h"
#include "resp/link_stamps.h"
#include "resp/overlay.h"
#include "resp/reply_queue.h"
#include "resp/transaction.h"

namespace replicad {

class WriteGroup {
 public:
  // `begun` is called at the first batch: somebody has to take the group to the log. `seed` is for the overlay.
  WriteGroup(std::function<void()> begun, uint64_t seed) : begun_(std::move(begun)), overlay_(seed) {}
  ~WriteGroup();

  // Each adds one batch; the next reply of the queue answers it, and waits for it. LimitError comes before anything is
  // changed.
  void Put(ReplyQueue& queue, uint32_t family, std::string_view key, std::string_view value);
  void PutAll(ReplyQueue& queue, uint32_t family, const std::vector<std::string_view>& keys_and_values);
  void DeleteAll(ReplyQueue& queue, uint32_t family, const std::vector<std::string_view>& keys);
  void Add(ReplyQueue& queue, const Batch& batch);
  void AddAll(ReplyQueue& queue, uint32_t family, const std::vector<Transaction::Change>& changes);

  // As before the first batch: what it raises comes before anything is changed.
  void Prepare() {
    if (batches_ == 0) begun_();
  }

  // The next reply of the queue shows what the group writes: it waits for it, and fails with it.
  void Depend(ReplyQueue& queue);

  // What the group makes of a key: an operation, whose views are good until the next batch.
  std::optional<Operation> Find(uint32_t family, std::string_view key) {
    return frames_.empty() ? std::nullopt : overlay_.Find(frames_.view(), family, key);
  }
  template <typename Visit>
  void EachChange(Visit visit) {
    overlay_.Each(frames_.view(), visit);
  }

  LinkStamps& stamps() { return stamps_; }
  const std::function<void()>& begun() const { return begun_; }
  size_t batches() const { return batches_; }
  size_t size_bytes() const { return frames_.size(); }
  // The first family that an operation names and that is not there.
  std::optional<uint32_t> UnknownFamily(MemtableSet& memtables) const;

  // For who takes it to the log, with the headers yet to be filled.
  Buffer& frames() { return frames_; }
  // It is in the log, up to `last`: replies wait for that to be visible. Then it is empty.
  void Settle(uint64_t last);
  // Nothing of it was written, and `reply` says so. Then it is empty.
  void Fail(std::string_view reply);

 private:
  friend class ReplyQueue;
  void Forget(ReplyQueue* queue) { std::erase(queues_, queue); }

  // The same of writes to one family, with room for `stamp_bytes` and the clock where it is linked.
  char* BeginWrites(ReplyQueue& queue, uint32_t family, size_t body_bytes, size_t stamp_bytes, size_t writes);
  // Room for a frame with this body; where the body begins. Its reply joins.
  char* Begin(ReplyQueue& queue, size_t body_bytes, uint32_t operations, uint32_t family);
  void Join(ReplyQueue& queue);
  void Empty();

  std::function<void()> begun_;
  LinkStamps stamps_;
  Buffer frames_;
  Overlay overlay_;
  std::vector<ReplyQueue*> queues_;
  size_t batches_ = 0;
  uint64_t numbers_ = 0;  // that the batches take
  uint32_t family_max_ = 0;
};

}  // namespace replicad
