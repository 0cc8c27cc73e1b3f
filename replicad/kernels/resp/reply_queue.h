// ReplyQueue: one client's replies, in the order of its commands: those that are ready, and behind them those that
// wait.
//
//     bytes_:  [ ready | segment | segment ... ]
//
// A reply that must wait (of a write that is not visible yet, or of a read that saw such a state) opens a held segment.
// From then on everything that the client is told goes behind it, also replies that need not wait themselves. All of
// it is one run of bytes: to release a segment is to move a boundary. The queue knows neither sockets nor commands.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace replicad {

class ReplyQueue;
class WriteGroup;

// What sends a client's replies by itself when they become ready.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // False when somebody else has to be told first.
  virtual bool SendSoon() = 0;
};

// All queues of a server that hold something, in the order in which they began to.
class HeldQueues {
 public:
  // `now` is the server's clock: a segment remembers when it was opened.
  explicit HeldQueues(std::function<double()> now) : now_(std::move(now)) {}

  // What is visible becomes ready; what waits for replicas, too, is, when it is `released`. Returns the queues of which
  // something became ready, but for those that their outlets send.
  std::vector<ReplyQueue*> Release(uint64_t visible, uint64_t released);
  // Answers with `reply` all that is held and reached the store: nobody can vouch for it any more.
  std::vector<ReplyQueue*> FailAll(std::string_view reply);

  // The sequence numbers of visible segments that have waited for replicas since before `before`, each once.
  std::vector<uint64_t> Late(uint64_t visible, double before) const;
  // Answers those of `sequence` with `reply`; they are ready at the next release.
  void FailLate(uint64_t sequence, double before, std::string_view reply);

  size_t size() const { return queues_.size(); }
  const std::function<double()>& now() const { return now_; }

 private:
  friend class ReplyQueue;
  void Add(ReplyQueue* queue) { queues_.push_back(queue); }
  void Remove(ReplyQueue* queue);

  std::function<double()> now_;
  std::vector<ReplyQueue*> queues_;
};

class ReplyQueue {
 public:
  // Above every sequence number: the write group of these replies is not in the log yet.
  static constexpr uint64_t kPending = UINT64_MAX;

  explicit ReplyQueue(HeldQueues& holding) : holding_(holding) {}
  ReplyQueue(const ReplyQueue&) = delete;
  ~ReplyQueue() { Drop(); }

  // The next reply: as a whole, or written at the end of bytes() and then closed.
  void Append(std::string_view reply) {
    bytes_.append(reply);
    Close();
  }
  std::string& bytes() { return bytes_; }
  void Close() {
    if (!segments_.empty()) held_.push_back({bytes_.size(), next_depends_});
    next_depends_ = false;
  }

  HeldQueues& holding() const { return holding_; }
  bool holds() const { return !segments_.empty(); }
  size_t held_bytes() const { return bytes_.size() - ReadyEnd(); }
  std::string_view ready() const { return std::string_view(bytes_).substr(sent_, ReadyEnd() - sent_); }
  // This much of ready() was taken.
  void Sent(size_t size);

  // Keeps back the next reply, and all after it, until `sequence` is visible.
  void Hold(uint64_t sequence, uint64_t visible);
  // Keeps back the next reply: it is of what was written just now, up to `sequence`.
  void HoldWritten(uint64_t sequence);
  // Whether writes from now on wait for the replicas that the rule asks for.
  void WaitForReplicas(bool wanted) { waits_for_replicas_ = wanted; }
  bool waits_for_replicas() const { return waits_for_replicas_; }

  // The client is gone: nobody takes what is held.
  void Drop();

  // Null when somebody else sends.
  Outlet* outlet = nullptr;

  // Sequence number of the client's last write, once it is in the log.
  uint64_t last_write() const { return last_write_; }

 private:
  friend class HeldQueues;
  friend class WriteGroup;

  // A run of replies that are sent when `sequence` is visible; 0: it has failed, and is sent at the next release. One
  // that does not wait `for_replicas` waits for the store only.
  struct Segment {
    uint64_t sequence;
    size_t begin;        // in bytes_
    size_t first_reply;  // in held_
    double since;
    bool for_replicas;
  };
  // `depends`: untrue unless the group commits: of a write, or of a read that saw one.
  struct HeldReply {
    size_t end;  // in bytes_
    bool depends;
  };

  size_t ReadyEnd() const { return segments_.empty() ? bytes_.size() : segments_.front().begin; }
  void Open(uint64_t sequence);
  bool MayGo(const Segment& segment, uint64_t visible, uint64_t released) const {
    return segment.sequence <= (segment.for_replicas ? released : visible);
  }

  // For the write group. The next reply answers, or shows, what the group writes: it waits for it, and fails with it.
  void Join(WriteGroup* group);
  void Settle(uint64_t sequence);
  void FailPending(std::string_view reply);

  // Whether anything became ready.
  bool Release(uint64_t visible, uint64_t released);
  // Answers with `reply` those replies of the chosen segments that depend on the writes, or all.
  template <typename Chosen>
  void Fail(std::string_view reply, bool all, Chosen chosen);

  HeldQueues& holding_;
  WriteGroup* group_ = nullptr;  // the open one, if a reply waits for it
  std::string bytes_;
  size_t sent_ = 0;
  std::vector<Segment> segments_;
  std::vector<HeldReply> held_;
  bool next_depends_ = false;
  bool waits_for_replicas_ = true;
  uint64_t last_write_ = 0;
  uint64_t last_in_group_ = 0;  // how many numbers the group takes up to this client's last write; 0: it wrote nothing
};

}  // namespace replicad
