#include "log/frame_writer.h"

#include <stdexcept>

#include "log/apply.h"

namespace replicad {

FrameWriter::FrameWriter(std::string_view database_id, const LogPosition& last)
    : log_seed_(Crc32c(database_id)), epoch_(last.epoch), last_(last), written_(last) {
  if (database_id.size() != kDatabaseIdBytes) throw LimitError("a database id is 16 bytes long");
  if (last.sequence > kSequenceMax) throw LimitError("a sequence number is below 2**56");
}

uint64_t FrameWriter::AddPut(uint32_t family, std::string_view key, std::string_view value, uint64_t now_us,
                             uint64_t durable) {
  CheckKey(key);
  CheckValue(value);
  const size_t body_bytes = PutOperationSize(family, key, value);
  char* frame = BeginFrame(body_bytes, 1);
  PutPutOperation(frame + kFrameHeaderBytes, family, key, value);
  return EndFrame(frame, body_bytes, 1, now_us, durable);
}

uint64_t FrameWriter::AddDelete(uint32_t family, std::string_view key, uint64_t now_us, uint64_t durable) {
  CheckKey(key);
  const size_t body_bytes = DeleteOperationSize(family, key);
  char* frame = BeginFrame(body_bytes, 1);
  PutDeleteOperation(frame + kFrameHeaderBytes, family, key);
  return EndFrame(frame, body_bytes, 1, now_us, durable);
}

uint64_t FrameWriter::AddBatch(const Batch& batch, uint64_t now_us, uint64_t durable) {
  const std::string_view body = batch.data();
  if (body.empty()) throw LimitError("a batch with nothing in it has no frame");
  char* frame = BeginFrame(body.size(), batch.counts().operations);
  PutBytes(frame + kFrameHeaderBytes, body);
  return EndFrame(frame, body.size(), batch.counts().operations, now_us, durable);
}

uint64_t FrameWriter::AddFrames(Buffer& frames, uint64_t now_us, uint64_t durable) {
  RequireNonePending();
  uint64_t numbers = 0;
  for (FrameReader reader(frames.view(), 0); reader.Next();) numbers += reader.header().Span();
  RequireNumbers(numbers);
  std::swap(pending_, frames);
  char* at = pending_.data();
  for (const char* end = at + pending_.size(); at < end;) {
    const size_t body_bytes = LoadU32(at + frame_offset::kBodyLength);
    EndFrame(at, body_bytes, LoadU32(at + frame_offset::kOperationCount), now_us, durable);
    at += kFrameHeaderBytes + body_bytes;
  }
  return last_.sequence;
}

char* FrameWriter::BeginFrame(size_t body_bytes, uint32_t operation_count) {
  RequireNumbers(std::max<uint64_t>(1, operation_count));
  return pending_.Extend(kFrameHeaderBytes + body_bytes);
}

void FrameWriter::RequireNumbers(uint64_t count) const {
  if (kSequenceMax - last_.sequence < count) [[unlikely]]
    throw LimitError("the sequence numbers are used up");
}

uint64_t FrameWriter::EndFrame(char* frame, size_t body_bytes, uint32_t operation_count, uint64_t now_us,
                               uint64_t durable) {
  const std::string_view body(frame + kFrameHeaderBytes, body_bytes);
  last_.commit_time_us = std::max(last_.commit_time_us, now_us);

  // The hash covers the fields before it, and the checksum covers the hash: they come last.
  StoreU32(frame + frame_offset::kBodyLength, static_cast<uint32_t>(body_bytes));
  StoreU32(frame + frame_offset::kBodyCrc, Crc32c(body));
  StoreU32(frame + frame_offset::kEpoch, epoch_);
  StoreU32(frame + frame_offset::kOperationCount, operation_count);
  StoreU32(frame + frame_offset::kFlags, 0);
  StoreU64(frame + frame_offset::kFirstSequence, last_.sequence + 1);
  StoreU64(frame + frame_offset::kDurableSequence, durable);
  StoreU64(frame + frame_offset::kCommitTime, last_.commit_time_us);
  last_.history_hash = NextHistoryHash(frame, body, last_.history_hash);
  StoreU64(frame + frame_offset::kHistoryHash, last_.history_hash);
  StoreU32(frame + frame_offset::kHeaderCrc, HeaderCrc(frame, log_seed_));

  last_.epoch = epoch_;
  last_.sequence += std::max<uint64_t>(1, operation_count);
  return last_.sequence;
}

void FrameWriter::Commit(MemtableSet& memtables) {
  ApplyFrames(pending_.view(), memtables);
  pending_.Clear();
  written_ = last_;
}

void FrameWriter::Rollback() {
  pending_.Clear();
  last_ = written_;
}

void FrameWriter::StartEpoch(uint32_t epoch) {
  RequireNonePending();
  if (epoch <= epoch_) throw LimitError("an epoch is greater than the one before");
  epoch_ = epoch;
}

void FrameWriter::Reset(const LogPosition& last) {
  RequireNonePending();
  if (last.sequence > kSequenceMax) throw LimitError("a sequence number is below 2**56");
  epoch_ = last.epoch;
  last_ = written_ = last;
}

void FrameWriter::RequireNonePending() const {
  if (!pending_.empty()) throw std::logic_error("frames are pending");
}

}  // namespace replicad
