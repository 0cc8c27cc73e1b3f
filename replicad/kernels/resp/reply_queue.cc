#include "resp/reply_queue.h"

#include <algorithm>

#include "resp/write_group.h"

namespace replicad {
namespace {

// What was sent stays in front of what was not up to this size.
constexpr size_t kSentBytesMax = size_t{64} << 10;
// A client that waits does not keep the room of one large reply.
constexpr size_t kKeptBytesMax = size_t{16} << 10;

}  // namespace

std::vector<ReplyQueue*> HeldQueues::Release(uint64_t visible, uint64_t released) {
  std::vector<ReplyQueue*> ready;
  std::erase_if(queues_, [&](ReplyQueue* queue) {
    if (queue->Release(visible, released) && (queue->outlet == nullptr || !queue->outlet->SendSoon())) {
      ready.push_back(queue);
    }
    return !queue->holds();
  });
  return ready;
}

std::vector<ReplyQueue*> HeldQueues::FailAll(std::string_view reply) {
  for (ReplyQueue* queue : queues_) {
    queue->Fail(reply, true, [](const ReplyQueue::Segment& segment) { return segment.sequence != 0; });
  }
  return Release(0, 0);
}

std::vector<uint64_t> HeldQueues::Late(uint64_t visible, double before) const {
  std::vector<uint64_t> late;
  for (const ReplyQueue* queue : queues_) {
    for (const auto& segment : queue->segments_) {
      const bool waits = segment.for_replicas && segment.sequence != 0 && segment.sequence <= visible;
      if (waits && segment.since < before) late.push_back(segment.sequence);
    }
  }
  std::sort(late.begin(), late.end());
  late.erase(std::unique(late.begin(), late.end()), late.end());
  return late;
}

void HeldQueues::FailLate(uint64_t sequence, double before, std::string_view reply) {
  for (ReplyQueue* queue : queues_) {
    queue->Fail(reply, false, [&](const ReplyQueue::Segment& segment) {
      return segment.for_replicas && segment.sequence == sequence && segment.since < before;
    });
  }
}

void HeldQueues::Remove(ReplyQueue* queue) { std::erase(queues_, queue); }

void ReplyQueue::Sent(size_t size) {
  sent_ += size;
  // What is left moves when it is less than what moved before it, so a long queue is not moved again and again.
  if (sent_ < bytes_.size() && sent_ < std::max(kSentBytesMax, bytes_.size() / 2)) return;
  bytes_.erase(0, sent_);
  for (Segment& segment : segments_) segment.begin -= sent_;
  for (HeldReply& reply : held_) reply.end -= sent_;
  sent_ = 0;
  if (bytes_.empty() && bytes_.capacity() > kKeptBytesMax) bytes_.shrink_to_fit();
}

void ReplyQueue::Hold(uint64_t sequence, uint64_t visible) {
  if (segments_.empty() ? sequence <= visible : segments_.back().sequence >= sequence) return;
  Open(sequence);
}

void ReplyQueue::HoldWritten(uint64_t sequence) {
  last_write_ = sequence;
  Open(sequence);
  next_depends_ = true;
}

void ReplyQueue::Open(uint64_t sequence) {
  if (segments_.empty()) holding_.Add(this);
  segments_.push_back({sequence, bytes_.size(), held_.size(), holding_.now_(), waits_for_replicas_});
}

void ReplyQueue::Join(WriteGroup* group) {
  next_depends_ = true;
  group_ = group;
  if (segments_.empty() || segments_.back().sequence != kPending ||
      segments_.back().for_replicas != waits_for_replicas_) {
    Open(kPending);
  }
}

void ReplyQueue::Settle(uint64_t sequence) {
  for (Segment& segment : segments_) {
    if (segment.sequence == kPending) segment.sequence = sequence;
  }
}

void ReplyQueue::FailPending(std::string_view reply) {
  Fail(reply, false, [](const Segment& segment) { return segment.sequence == kPending; });
  // A command without a reply yet goes on in pieces, and says by itself what became of it.
  next_depends_ = false;
}

bool ReplyQueue::Release(uint64_t visible, uint64_t released) {
  const auto first = std::find_if(segments_.begin(), segments_.end(),
                                  [&](const Segment& segment) { return !MayGo(segment, visible, released); });
  if (first == segments_.begin()) return false;
  const size_t replies = first == segments_.end() ? held_.size() : first->first_reply;
  held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(replies));
  segments_.erase(segments_.begin(), first);
  for (Segment& segment : segments_) segment.first_reply -= replies;
  return true;
}

template <typename Chosen>
void ReplyQueue::Fail(std::string_view reply, bool all, Chosen chosen) {
  if (std::none_of(segments_.begin(), segments_.end(), chosen)) return;
  std::string kept = bytes_.substr(0, ReadyEnd());
  for (size_t i = 0; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    const bool fails = chosen(segment);
    size_t from = segment.begin;
    segment.begin = kept.size();
    const size_t last = i + 1 < segments_.size() ? segments_[i + 1].first_reply : held_.size();
    for (size_t at = segment.first_reply; at < last; ++at) {
      const size_t end = held_[at].end;
      kept += fails && (all || held_[at].depends) ? reply : std::string_view(bytes_).substr(from, end - from);
      held_[at].end = kept.size();
      from = end;
    }
    if (fails) segment.sequence = 0;
  }
  bytes_ = std::move(kept);
}

void ReplyQueue::Drop() {
  if (group_ != nullptr) group_->Forget(this);
  group_ = nullptr;
  if (!segments_.empty()) holding_.Remove(this);
  segments_.clear();
  held_.clear();
  bytes_.clear();
  bytes_.shrink_to_fit();
  sent_ = 0;
}

}  // namespace replicad
