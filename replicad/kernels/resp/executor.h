// Executor: executes the simple commands of clients, so that no Python runs for them.
//
//     request --> Executor --reads--> ReadSource        --writes--> WriteGroup        --reply--> ReplyQueue
//
// What it does not do itself (an error, an option that is not known, a value that is too large) is left to others: it
// returns false then, and nothing was changed. So each command has its errors in one place, which is in Python.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "read/read_view.h"
#include "resp/reply_queue.h"
#include "resp/request_parser.h"
#include "resp/simple_commands.h"
#include "resp/transaction.h"
#include "resp/write_group.h"

namespace replicad {

// One moment of the store: what readers see there.
struct ReadPoint {
  std::shared_ptr<const ReadView> view;  // of the default family; null when nothing can be read
  uint64_t visible = 0;
  uint64_t appended = 0;
};

// Where the store stands. Its functions may run Python code.
class ReadSource {
 public:
  virtual ~ReadSource() = default;
  virtual ReadPoint Now() = 0;
  // The view of a family that there was at this sequence number; null when there was none.
  virtual std::shared_ptr<const ReadView> Family(uint32_t family, uint64_t sequence) = 0;
};

// What a client may have executed at the moment.
enum class Taken : uint8_t { kNothing, kReads, kAll };

struct CommandCounts {
  uint64_t commands = 0, hits = 0, misses = 0;
  uint64_t reads = 0, writes = 0;  // of keys, by commands of the kernel
  uint64_t input_bytes = 0, output_bytes = 0;
};

struct ExecutorLimits {
  uint64_t reply_bytes_max;
  uint64_t string_bytes_max;  // of what APPEND makes
  uint64_t keys_max;          // of one command that looks keys up
};

// What a command knows of its client.
struct ClientView {
  ReplyQueue& replies;
  uint32_t family = 0;
  bool is_resp3 = false;
  Transaction* transaction = nullptr;  // of an EXEC under way

  // Where the next reply is written, which Close ends.
  std::string& out() { return transaction != nullptr ? transaction->replies : replies.bytes(); }
  void Close() {
    if (transaction == nullptr) replies.Close();
  }
  void Append(std::string_view reply) {
    out() += reply;
    Close();
  }
  // Whether it must see what is not visible yet: its own writes are there.
  bool sees_newest() const { return transaction != nullptr || replies.holds(); }
};

// Commands of a transaction, until its EXEC comes. Their bytes must stay where they are.
class Queue {
 public:
  void Add(const SimpleCommand& command, const Request& request) {
    commands_.push_back({&command, request.bytes(), arguments_.size(), request.size()});
    arguments_.insert(arguments_.end(), request.begin(), request.end());
  }
  size_t size() const { return commands_.size(); }
  const SimpleCommand& command(size_t i) const { return *commands_[i].command; }
  Request request(size_t i) const {
    return {commands_[i].bytes, arguments_.data() + commands_[i].first, commands_[i].size};
  }
  void Clear() {
    commands_.clear();
    arguments_.clear();
    // A client that waits does not keep the room of one large transaction.
    if (arguments_.capacity() > kKeptArgumentsMax) arguments_.shrink_to_fit();
  }

 private:
  struct Queued {
    const SimpleCommand* command;
    const char* bytes;
    size_t first, size;  // in arguments_
  };

  static constexpr size_t kKeptArgumentsMax = 128;

  std::vector<Queued> commands_;
  std::vector<Request::Range> arguments_;
};

class Executor {
 public:
  Executor(ReadSource& source, WriteGroup& group, CommandCounts& counts, const ExecutorLimits& limits,
           std::function<double()> now)
      : source_(source), group_(group), counts_(counts), limits_(limits), now_(std::move(now)) {}

  ReadSource& source() const { return source_; }
  WriteGroup& group() const { return group_; }
  CommandCounts& counts() const { return counts_; }

  // Begins a run of commands, all of which came before this: what they read is not older than this moment.
  void Begin(Taken taken) {
    taken_ = taken;
    is_placed_ = false;
    seen_bytes_ = work_ = 0;
    ends_at_.reset();
    is_late_ = false;
  }
  // Lets go of what the run read from.
  void End() {
    point_ = {};
    if (made_.capacity() > kKeptBytesMax) made_ = std::string();
  }

  // Counts commands and lookups of this run: after some of them the clock is looked at.
  void CountWork(size_t count);
  // Whether the run took long, or the values that it looked at were large: then others have their turn.
  bool turn_is_over() const { return is_late_ || seen_bytes_ > kSeenBytesMax; }

  // GETs that follow each other are looked up together: whether this one was kept for that. Its key must stay where it
  // is. Nothing is kept while replies of the client are held.
  bool Defer(const SimpleCommand& command, const Request& request, const ClientView& client);
  // Answers the GETs that were kept, in their order. Those that stay in deferred() are for others: after an exception
  // of a read all, else the ones behind `bytes_max` of values.
  void AnswerDeferred(size_t bytes_max, ClientView& client);
  std::vector<std::string_view>& deferred() { return deferred_; }

  // Whether it was done. An exception from a read comes out, and nothing was changed.
  bool Execute(const SimpleCommand& command, const Request& request, ClientView& client);
  // The same of a whole transaction: MULTI, these commands, EXEC. All of it is done, or nothing.
  bool ExecuteTogether(const Queue& queue, ClientView& client);

 private:
  static constexpr size_t kKeptBytesMax = size_t{1} << 20;
  // Of values that are looked at without a pause: large ones take milliseconds each, also when they are not shown.
  static constexpr size_t kSeenBytesMax = size_t{1} << 20;
  // The clock is looked at after this much work: each lookup may be a read of the disk.
  static constexpr size_t kLookAfter = 16;
  static constexpr double kTurnSeconds = 0.01;

  struct Found {
    std::string_view value;
    bool present = false;
    bool in_group = false;  // the open group writes it
    bool newest = false;    // perhaps not visible yet
    LookupResult result;    // holds the value
  };

  struct Value {
    size_t begin = 0, size = 0;  // in made_
    bool present = false, left = false;
  };

  void AppendMade(std::string& to, const Value& value, const ClientView& client) const;

  void Count(const SimpleCommand& command, size_t times);
  bool Read(Operator operation, const Request& request, ClientView& client);
  bool Write(Operator operation, const Request& request, ClientView& client);
  bool Get(const Request& request, ClientView& client);
  bool MultiGet(const Request& request, ClientView& client);
  bool Exists(const Request& request, ClientView& client);
  bool Part(const Request& request, ClientView& client);
  bool Set(const Request& request, ClientView& client);
  bool SetAbsent(const Request& request, ClientView& client);
  bool MultiSet(const Request& request, ClientView& client);
  bool Delete(const Request& request, ClientView& client);
  bool Add(std::string_view key, int64_t change, ClientView& client);
  bool Append(const Request& request, ClientView& client);

  // Where reads of this run see the store; false when nothing can be read.
  bool Place();
  // What the client must see now: after its own writes when replies to them are held. False: there is no such family.
  bool Look(std::string_view key, const ClientView& client, Found* found);
  // What the next write would replace.
  bool LookNewest(std::string_view key, const ClientView& client, Found* found);
  bool LookAt(std::string_view key, uint32_t family, uint64_t sequence, Found* found);
  // Looks keys up side by side, a few first, until much was seen; how many.
  template <typename Visit>
  size_t LookTogether(const ReadView& view, const std::vector<std::string_view>& keys, Visit visit);
  // Holds the next reply back until what was found is true for others, too.
  void HoldFor(const Found& found, ClientView& client);
  // The same for what was found of several keys, in the newest state.
  void HoldForAll(bool any_in_group, ClientView& client);
  // Into the transaction, or a batch of their own.
  void Put(std::string_view key, std::string_view value, ClientView& client);
  void PutMade(std::string_view key, std::string_view value, ClientView& client);  // of a value that does not stay
  void PutAll(const std::vector<std::string_view>& keys_and_values, ClientView& client);
  void DeleteAll(const std::vector<std::string_view>& keys, ClientView& client);
  // Whether the family that the client writes to is there.
  bool Writable(const ClientView& client);

  ReadSource& source_;
  WriteGroup& group_;
  CommandCounts& counts_;
  const ExecutorLimits limits_;
  const std::function<double()> now_;
  Taken taken_ = Taken::kNothing;
  bool is_placed_ = false;
  ReadPoint point_;
  size_t seen_bytes_ = 0, work_ = 0;
  std::optional<double> ends_at_;
  bool is_late_ = false;
  std::vector<std::string_view> some_;
  std::vector<std::string_view> keys_;
  std::vector<std::string_view> deferred_;
  const SimpleCommand* deferred_command_ = nullptr;
  std::vector<Value> values_;
  std::string made_;
};

}  // namespace replicad
