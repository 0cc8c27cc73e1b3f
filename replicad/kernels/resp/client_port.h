// ClientPort: the requests of one client, executed here as far as they are simple, and handed on otherwise.
//
//     bytes --> RequestInput --simple--> Executor --> ReplyQueue
//                     └─── the rest ---> Hand (Python)
//
// Requests are executed in their order. So from the first that is not simple on all go to Python, until it says that
// nothing is left there (`direct`).
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/errors.h"
#include "resp/executor.h"
#include "resp/request_input.h"

namespace replicad {

// What all clients of a server share.
struct Engine {
  Engine(ReadSource& source, WriteGroup& group, CommandCounts& counts, const ExecutorLimits& limits,
         std::function<double()> now)
      : executor(source, group, counts, limits, now), now(std::move(now)) {}

  CommandTable commands;
  Executor executor;
  std::function<double()> now;
};

class ClientPort {
 public:
  ClientPort(Engine& engine, ReplyQueue& replies, const RequestLimits& limits)
      : engine_(engine), input_(limits), view_{replies} {}

  // Executes what these bytes complete, or what was left, as far as one turn goes. `hand` gets the rest: hand.Take of
  // a request, hand.TakeGet of a GET, by its key, hand.TakeMulti of MULTI, hand.TakeLine of an inline command,
  // hand.Failed while an exception of a command is handled, which throws it again when it is not for the client.
  template <typename Hand>
  void Feed(std::string_view data, Taken taken, Hand& hand) {
    if (error_) return;
    const Run run(*this, std::min(taken, granted));
    held_input_bytes = view_.replies.holds() ? held_input_bytes + data.size() : 0;
    size_t executed = 0;
    const size_t replies_end = view_.replies.bytes().size() + kTurnReplyBytes;
    const auto is_over = [&] {
      if (view_.replies.bytes().size() > replies_end || executed == kTurnCommands) return true;
      ++executed;
      engine_.executor.CountWork(1);
      return engine_.executor.turn_is_over();
    };
    try {
      const auto visit = [&](RequestParser::Found found, const Request& request, std::string_view line) {
        if (found == RequestParser::Found::kRequest && request.size() == 0) return true;
        if (direct && !in_transaction_ && is_over()) return false;
        if (direct && found == RequestParser::Found::kRequest && Execute(request, hand)) return true;
        HandOver(hand);
        if (found == RequestParser::Found::kLine) {
          hand.TakeLine(line);
        } else {
          hand.Take(request);
        }
        return true;
      };
      input_.Feed(data, visit, [&] {
        // A transaction whose end has not come goes on in Python.
        AnswerDeferred(hand);
        if (in_transaction_) HandOver(hand);
      });
    } catch (const MalformedRequest& error) {
      error_ = error.what();
    }
  }

  bool direct = true;
  // What the client may do: nothing else is executed here for it.
  Taken granted = Taken::kAll;
  // Nobody has to be told when replies become ready.
  bool quiet = false;
  double last_input_at = 0;
  // Of what came since replies are held; about.
  size_t held_input_bytes = 0;
  // Something is left to do without more input, or too much is held to read on at once.
  bool needs_attention() const {
    return input_.stopped() || error_ || held_input_bytes + view_.replies.held_bytes() > kHeldBytesMax;
  }
  bool one_by_one() const { return input_.one_by_one; }
  void set_one_by_one(bool one_by_one) { input_.one_by_one = one_by_one; }
  void set_limits(const RequestLimits& limits) { input_.set_limits(limits); }
  Engine& engine() const { return engine_; }
  ClientView& view() { return view_; }
  const RequestInput& input() const { return input_; }
  const std::optional<std::string>& error() const { return error_; }
  // The one that was executed last; empty when others came after it.
  std::string_view command_name() const { return last_ != nullptr ? last_->name : std::string_view(); }

 private:
  // A turn is over after this many commands or this much of replies, or when the executor says so: then others have
  // theirs.
  static constexpr size_t kTurnCommands = 2048;
  static constexpr size_t kTurnReplyBytes = size_t{1} << 20;
  static constexpr size_t kDeferredMax = 64;
  // A transaction of more commands is Python's, which gives others their turns meanwhile.
  static constexpr size_t kQueuedMax = 128;
  static constexpr size_t kHeldBytesMax = size_t{64} << 10;

  class Run {
   public:
    Run(ClientPort& port, Taken taken) : port_(port) {
      if (port.is_running_) throw Busy("fed from within its own feed: by a finalizer or a signal's handler");
      port.is_running_ = true;
      port.engine_.executor.Begin(taken);
    }
    ~Run() {
      // An interrupt came in between: what was consumed has no answer, so the client is out of step.
      std::vector<std::string_view>& lost = port_.engine_.executor.deferred();
      if (!lost.empty() || port_.in_transaction_) port_.error_ = "interrupted";
      lost.clear();
      port_.engine_.executor.End();
      port_.is_running_ = false;
    }

   private:
    ClientPort& port_;
  };

  // Whether it is done, or will be before anything that comes after it.
  template <typename Hand>
  bool Execute(const Request& request, Hand& hand) {
    const SimpleCommand* command = engine_.commands.Find(request[0]);
    if (command == nullptr || request.size() < command->arguments_min || request.size() > command->arguments_max) {
      return false;
    }
    if (in_transaction_ || command->operation >= Operator::kBegin) return AddToTransaction(*command, request, hand);
    Executor& executor = engine_.executor;
    const bool kept = executor.Defer(*command, request, view_);
    if (!kept || executor.deferred().size() >= kDeferredMax) AnswerDeferred(hand);
    if (!direct) return kept;
    if (!kept && !Try(hand, [&] { return executor.Execute(*command, request, view_); })) return false;
    last_ = command;
    return true;
  }

  // MULTI, what follows it, and EXEC, which executes all of it: nothing is answered before.
  template <typename Hand>
  bool AddToTransaction(const SimpleCommand& command, const Request& request, Hand& hand) {
    if (command.operation == Operator::kBegin && !in_transaction_) {
      AnswerDeferred(hand);
      if (!direct) return false;
      in_transaction_ = true;
      begin_ = &command;
      return true;
    }
    if (command.operation == Operator::kCommit && in_transaction_) {
      if (!Try(hand, [&] { return engine_.executor.ExecuteTogether(queue_, view_); })) return false;
      in_transaction_ = false;
      queue_.Clear();
      begin_->calls += 1;
      command.calls += 1;
      last_ = &command;
      return true;
    }
    if (command.operation >= Operator::kBegin || queue_.size() >= kQueuedMax) return false;
    queue_.Add(command, request);
    return true;
  }

  template <typename Hand, typename Work>
  static bool Try(Hand& hand, Work work) {
    try {
      return work();
    } catch (...) {
      hand.Failed();
      return false;
    }
  }

  // From here on all is Python's, what was kept first.
  template <typename Hand>
  void HandOver(Hand& hand) {
    AnswerDeferred(hand);
    direct = false;
    last_ = nullptr;
    if (!in_transaction_) return;
    in_transaction_ = false;
    hand.TakeMulti();
    for (size_t i = 0; i < queue_.size(); ++i) hand.Take(queue_.request(i));
    queue_.Clear();
  }

  // Answers the GETs that were kept; what stays of them is handed on.
  template <typename Hand>
  void AnswerDeferred(Hand& hand) {
    std::vector<std::string_view>& keys = engine_.executor.deferred();
    if (keys.empty()) return;
    Try(hand, [&] {
      engine_.executor.AnswerDeferred(kTurnReplyBytes, view_);
      return true;
    });
    for (const std::string_view key : keys) hand.TakeGet(key);
    if (!keys.empty()) {
      direct = false;
      last_ = nullptr;
    }
    keys.clear();
  }

  Engine& engine_;
  RequestInput input_;
  ClientView view_;
  std::optional<std::string> error_;
  const SimpleCommand* last_ = nullptr;
  bool is_running_ = false;

  // A transaction that has begun in this run.
  bool in_transaction_ = false;
  const SimpleCommand* begin_ = nullptr;
  Queue queue_;
};

}  // namespace replicad
