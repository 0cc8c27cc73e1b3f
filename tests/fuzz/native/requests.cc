// Requests of clients, executed as far as they are simple. However the bytes are cut, the same requests are found; each
// is answered once or handed on once, and what is answered is well-formed.
#include <memory>
#include <optional>

#include "harness.h"
#include "resp/client_port.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

constexpr RequestLimits kLimits{64, 1 << 10, 4 << 10, 64};

// A store whose data stays as it is: what clients write is in the open group only.
class Store : public ReadSource {
 public:
  Store() {
    auto memtable = std::make_shared<Memtable>();
    memtable->Add("k", (uint64_t{1} << 8) | static_cast<uint64_t>(EntryKind::kPut), "5");
    view_ = std::make_shared<ReadView>(std::vector<std::shared_ptr<Memtable>>{memtable},
                                       std::vector<std::shared_ptr<Table>>{}, std::vector<TableRun>{});
  }
  ReadPoint Now() override { return {view_, 1, 1}; }
  std::shared_ptr<const ReadView> Family(uint32_t, uint64_t) override { return nullptr; }

 private:
  std::shared_ptr<const ReadView> view_;
};

struct Handed {
  size_t count = 0;
  void Take(const Request& request) {
    for (size_t i = 0; i < request.size(); ++i) Require(request[i].size() <= 1 << 10, "an argument beyond its limit");
    ++count;
  }
  void TakeLine(std::string_view) { ++count; }
  void TakeGet(std::string_view) { ++count; }
  void TakeMulti() { ++count; }
  [[noreturn]] static void Failed() { throw; }
};

// How many replies stand one after another; they must be whole.
size_t CountReplies(std::string_view replies) {
  size_t count = 0, within = 0;
  while (!replies.empty()) {
    const size_t end = replies.find("\r\n");
    Require(end != std::string_view::npos && end > 0, "a reply without an end");
    const long number = std::atol(std::string(replies.substr(1, end - 1)).c_str());
    const char kind = replies[0];
    replies.remove_prefix(end + 2);
    if (kind == '$' && number >= 0) {
      const auto size = static_cast<size_t>(number);
      Require(replies.size() >= size + 2 && replies.substr(size, 2) == "\r\n", "a bulk that is not whole");
      replies.remove_prefix(size + 2);
    }
    if (within > 0) {
      --within;
    } else {
      ++count;
    }
    if (kind == '*' && number > 0) within += static_cast<size_t>(number);
  }
  Require(within == 0, "an array that is not whole");
  return count;
}

// The requests and lines that are found, as one string, and whether the bytes were malformed in the end.
std::pair<std::string, bool> Parse(std::string_view data, size_t step) {
  RequestInput input(kLimits);
  std::string found;
  const auto visit = [&](RequestParser::Found kind, const Request& request, std::string_view line) {
    if (kind == RequestParser::Found::kLine) {
      found.append("line ").append(line).append("\n");
      return true;
    }
    found.append("request ").append(std::to_string(request.size())).append("\n");
    for (size_t i = 0; i < request.size(); ++i) {
      found.append(std::to_string(request[i].size())).append(" ").append(request[i]).append("\n");
    }
    return true;
  };
  try {
    for (; !data.empty(); data.remove_prefix(std::min(step, data.size()))) {
      input.Feed(data.substr(0, step), visit, [] {});
    }
  } catch (const MalformedRequest&) {
    return {found, true};
  }
  return {found, false};
}

// How many requests are answered, and handed on.
size_t Serve(std::string_view data, size_t step) {
  Store store;
  HeldQueues held([] { return 0.0; });
  WriteGroup group([] {}, 1);
  CommandCounts counts;
  Engine engine(store, group, counts, {1 << 20, 1 << 20, 16}, [] { return 0.0; });
  using O = Operator;
  for (const auto& [name, operation, least, most] : {std::tuple{"ping", O::kPing, 1u, 2u},
                                                     {"get", O::kGet, 2u, 2u},
                                                     {"mget", O::kMultiGet, 2u, 99u},
                                                     {"exists", O::kExists, 2u, 99u},
                                                     {"strlen", O::kLength, 2u, 2u},
                                                     {"getrange", O::kPart, 4u, 4u},
                                                     {"set", O::kSet, 3u, 8u},
                                                     {"setnx", O::kSetAbsent, 3u, 3u},
                                                     {"mset", O::kMultiSet, 3u, 99u},
                                                     {"del", O::kDelete, 2u, 99u},
                                                     {"incr", O::kAdd, 2u, 2u},
                                                     {"decrby", O::kSubtractBy, 3u, 3u},
                                                     {"append", O::kAppend, 3u, 3u},
                                                     {"multi", O::kBegin, 1u, 1u},
                                                     {"exec", O::kCommit, 1u, 1u}}) {
    engine.commands.Add({name, operation, least, most});
  }
  ReplyQueue replies(held);
  ClientPort port(engine, replies, kLimits);
  Handed handed;
  std::string answered;
  uint64_t last = 1;
  for (; !data.empty(); data.remove_prefix(std::min(step, data.size()))) {
    port.Feed(data.substr(0, step), Taken::kAll, handed);
    while (port.input().stopped()) port.Feed({}, Taken::kAll, handed);
    last += 1000;
    group.Settle(last);
    held.Release(last, last);
    answered += replies.ready();
    replies.Sent(replies.ready().size());
    Require(!replies.holds(), "something is held that was released");
  }
  Require(CountReplies(answered) == counts.commands, "a request is not answered once");
  return counts.commands + handed.count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view stream = Input(data + 1, size - 1);
  const size_t step = std::max<size_t>(1, data[0]);
  Require(Parse(stream, step) == Parse(stream, stream.size() + 1), "the requests depend on how the bytes came");
  Require(Serve(stream, step) == Serve(stream, stream.size() + 1), "a request is lost, or there twice");
  return 0;
}
