// A stretch of the log, as it comes and with its checksums put right, so that what lies behind them is reached too.
#include "harness.h"
#include "log/frame_scan.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

const std::string kDatabase(kDatabaseIdBytes, 'd');
constexpr LogPosition kBefore{1, 0, 7, 0};

// Lengths are cut to what is there, sequence numbers made to follow; then hashes and checksums are computed.
std::string Repaired(std::string_view input) {
  std::string log(input);
  const uint32_t log_seed = Crc32c(kDatabase);
  LogPosition at = kBefore;
  for (size_t offset = 0; log.size() - offset > kFrameHeaderBytes;) {
    char* header = log.data() + offset;
    const size_t room = log.size() - offset - kFrameHeaderBytes;
    const uint32_t length = LoadU32(header + 4);
    if (length == 0 || length > room) StoreU32(header + 4, static_cast<uint32_t>(room));
    const std::string_view body(header + kFrameHeaderBytes, LoadU32(header + 4));
    StoreU32(header + 8, Crc32c(body));
    if ((LoadU32(header + 16) & 0xf0) == 0) {  // what else is in the count is left to the scan
      Accepts(body.size(), [&] { StoreU32(header + 16, ValidateBatch(body).operations); });
    }
    StoreU32(header + 12, at.epoch + (LoadU32(header + 12) & 1));
    StoreU64(header + 24, at.sequence + 1);
    StoreU64(header + 48, NextHistoryHash(header, body, at.history_hash));
    StoreU32(header, HeaderCrc(header, log_seed));
    const FrameHeader made = LoadFrameHeader(header);
    at = {made.epoch, made.LastSequence(), made.history_hash, made.commit_time_us};
    offset += made.FrameBytes();
  }
  return log;
}

void Scan(std::string_view log, ScanOptions options) {
  const FrameScan whole = ScanFrames(log, kDatabase, kBefore, options);
  Require(whole.end <= log.size(), "more was consumed than there is");
  Require((whole.stop == ScanStop::kEnd) == (whole.end == log.size()), "the end is not where the log ends");
  const FrameScan good = ScanFrames(log.substr(0, whole.end), kDatabase, kBefore, options);
  Require(good.end == whole.end && good.frames == whole.frames, "what was accepted is refused alone");
  options.max_frames = 1;
  options.check_chain = true;
  LogPosition at = kBefore;
  size_t end = 0;
  for (;;) {
    const FrameScan one = ScanFrames(log.substr(end), kDatabase, at, options);
    if (one.frames == 0) break;
    Require(one.last.sequence > at.sequence, "a frame takes no sequence number");
    end += one.end;
    at = one.last;
  }
  if (options.check_body) Require(end <= whole.end, "frame by frame more is accepted than at once");
  Require(end != whole.end || at.history_hash == whole.last.history_hash, "frame by frame the hash is another");
  FrameReader reader(log.substr(0, whole.end), 0);
  uint64_t frames = 0;
  while (reader.Next()) ++frames;
  Require(frames == whole.frames, "the reader finds other frames than the scan");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ScanOptions options;
  options.check_chain = (data[0] & 1) == 0;
  options.check_body = (data[0] & 2) == 0;
  const std::string_view input = Input(data + 1, size - 1);
  const std::string repaired = Repaired(input);
  Scan(input, options);
  Scan(repaired, options);
  static_cast<void>(FindFrameHeader(input, kDatabase));
  if (repaired.size() > kFrameHeaderBytes && LoadU32(repaired.data() + 20) == 0) {
    Require(FindFrameHeader(repaired, kDatabase) == 0, "a good header is not found");
  }
  return 0;
}
