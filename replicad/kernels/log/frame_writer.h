// FrameWriter: numbers batches, stamps them, chains them to the history, and keeps the frames until they are written.
//
// The caller appends view() to the log, then calls Commit, which applies the frames to the memtables, or Rollback when
// the append failed. One writer a database; the GIL serialises its calls.
#pragma once

#include "base/buffer.h"
#include "log/batch.h"
#include "log/frame.h"
#include "memtable/memtable_set.h"

namespace replicad {

class FrameWriter {
 public:
  // `last` is the position of the newest frame in the log.
  FrameWriter(std::string_view database_id, const LogPosition& last);

  // Each makes one frame and returns its last sequence number. LimitError comes before anything is changed.
  uint64_t AddPut(uint32_t family, std::string_view key, std::string_view value, uint64_t now_us, uint64_t durable);
  uint64_t AddDelete(uint32_t family, std::string_view key, uint64_t now_us, uint64_t durable);
  // The batch holds at least one operation or annotation; LimitError otherwise.
  uint64_t AddBatch(const Batch& batch, uint64_t now_us, uint64_t durable);
  // Takes whole frames, whose headers say no more than how long the body is and how many operations are in it, and
  // leaves an empty buffer. Requires that nothing is pending.
  uint64_t AddFrames(Buffer& frames, uint64_t now_us, uint64_t durable);

  std::string_view view() const { return pending_.view(); }
  const LogPosition& position() const { return last_; }    // pending frames included
  const LogPosition& written() const { return written_; }  // without them
  uint32_t epoch() const { return epoch_; }                // of the next frame

  void Commit(MemtableSet& memtables);
  void Rollback();

  // These require that nothing is pending.
  void StartEpoch(uint32_t epoch);  // greater than the one before
  void Reset(const LogPosition& last);

 private:
  char* BeginFrame(size_t body_bytes, uint32_t operation_count);
  uint64_t EndFrame(char* frame, size_t body_bytes, uint32_t operation_count, uint64_t now_us, uint64_t durable);
  void RequireNonePending() const;
  void RequireNumbers(uint64_t count) const;

  uint32_t log_seed_;
  uint32_t epoch_;
  LogPosition last_;
  LogPosition written_;  // before the first pending frame
  Buffer pending_;
};

}  // namespace replicad
