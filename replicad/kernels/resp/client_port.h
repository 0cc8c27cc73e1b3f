// ClientPort: the requests of one client, executed here as far as they are simple, and handed on otherwise.
//
//     bytes --> RequestInput --simple--> Executor --> ReplyQueue
//                     └─── the rest ---> Hand (Python)
//
// Requests are executed in their order. So from the first that is not simple on all go to Python, until it says that
// nothing is left there (`direct`).
#pragma once

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
      : executor(source, group, counts, limits), now(std::move(now)) {}

  CommandTable commands;
  Executor executor;
  std::function<double()> now;
};

class ClientPort {
 public:
  ClientPort(Engine& engine, ReplyQueue& replies, const RequestLimits& limits)
      : engine_(engine), input_(limits), view_{replies} {}

  // Executes what these bytes complete, or what was left, as far as one turn goes. `hand` gets the rest: hand.Take of
  // a request, hand.TakeLine of an inline command, hand.Failed while an exception of a command is handled, which
  // throws it again when it is not for the client.
  template <typename Hand>
  void Feed(std::string_view data, Taken taken, Hand& hand) {
    if (error_) return;
    const Run run(*this, taken);
    size_t executed = 0;
    std::optional<double> ends_at;
    const size_t replies_end = view_.replies.bytes().size() + kTurnReplyBytes;
    const auto is_over = [&] {
      if (view_.replies.bytes().size() > replies_end) return true;
      if (executed == kTurnCommands) return true;
      if (++executed % kLookAfter != 0) return false;
      if (!ends_at) ends_at = engine_.now() + kTurnSeconds;
      return engine_.now() > *ends_at;
    };
    try {
      input_.Feed(data, [&](RequestParser::Found found, const Request& request, std::string_view line) {
        if (found == RequestParser::Found::kLine) {
          direct = false;
          hand.TakeLine(line);
          return true;
        }
        if (request.size() == 0) return true;
        if (direct && is_over()) return false;
        if (direct && Execute(request, hand)) return true;
        direct = false;
        hand.Take(request);
        return true;
      });
    } catch (const MalformedRequest& error) {
      error_ = error.what();
    }
    held_input_bytes = view_.replies.holds() ? held_input_bytes + data.size() : 0;
  }

  bool direct = true;
  // Nobody has to be told when replies become ready.
  bool quiet = false;
  double last_input_at = 0;
  // Of what came since replies are held; about.
  size_t held_input_bytes = 0;
  // Something is left to do without more input, or too much is held to read on at once.
  bool needs_attention() const {
    return input_.stopped() || error_ || held_input_bytes + view_.replies.held_bytes() > kHeldBytesMax;
  }
  ClientView& view() { return view_; }
  const RequestInput& input() const { return input_; }
  const std::optional<std::string>& error() const { return error_; }
  // The one that was executed last; empty when others came after it.
  std::string_view command_name() const { return last_ != nullptr ? last_->name : std::string_view(); }

 private:
  // A turn is over after this many commands, this much of replies, or this long: then others have theirs. The clock is
  // looked at seldom.
  static constexpr size_t kTurnCommands = 2048;
  static constexpr size_t kTurnReplyBytes = size_t{1} << 20;
  static constexpr double kTurnSeconds = 0.01;
  static constexpr size_t kLookAfter = 32;
  static constexpr size_t kHeldBytesMax = size_t{64} << 10;

  class Run {
   public:
    Run(ClientPort& port, Taken taken) : port_(port) {
      if (port.is_running_) throw Busy("fed from within its own feed: by a finalizer or a signal's handler");
      port.is_running_ = true;
      port.engine_.executor.Begin(taken);
    }
    ~Run() {
      port_.engine_.executor.End();
      port_.is_running_ = false;
    }

   private:
    ClientPort& port_;
  };

  template <typename Hand>
  bool Execute(const Request& request, Hand& hand) {
    last_ = engine_.commands.Find(request[0]);
    bool done = false;
    try {
      done = last_ != nullptr && engine_.executor.Execute(*last_, request, view_);
    } catch (...) {
      hand.Failed();
    }
    if (!done) last_ = nullptr;
    return done;
  }

  Engine& engine_;
  RequestInput input_;
  ClientView view_;
  std::optional<std::string> error_;
  const SimpleCommand* last_ = nullptr;
  bool is_running_ = false;
};

}  // namespace replicad
