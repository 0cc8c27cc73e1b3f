#include "resp/executor.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/errors.h"
#include "resp/numbers.h"

namespace replicad {
namespace {

// More keys than these are deleted in Python, which gives others their turns meanwhile.
constexpr size_t kDeletedMax = 64;
// As large as what is written at once.
constexpr size_t kWrittenBytesMax = size_t{4} << 20;
// Of a request that writes in a linked family, and of a value that it makes: its keys and its batch are within the
// limits of links then.
constexpr size_t kLinkedBytesMax = 60'000;

constexpr std::string_view kOk = "+OK\r\n";
constexpr std::string_view kQueued = "+QUEUED\r\n";
constexpr std::string_view kPong = "+PONG\r\n";

void AppendNumber(std::string& to, char kind, int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  to += kind;
  to.append(digits, end).append("\r\n");
}

void AppendBulk(std::string& to, std::string_view value) {
  AppendNumber(to, '$', static_cast<int64_t>(value.size()));
  to.append(value).append("\r\n");
}

std::string_view Nil(const ClientView& client) { return client.is_resp3 ? "_\r\n" : "$-1\r\n"; }

void AnswerNumber(ClientView& client, int64_t number) {
  AppendNumber(client.out(), ':', number);
  client.Close();
}

void AnswerBulk(ClientView& client, std::string_view value) {
  AppendBulk(client.out(), value);
  client.Close();
}

void AnswerValue(ClientView& client, const std::optional<std::string_view>& value) {
  if (value) return AnswerBulk(client, *value);
  client.Append(Nil(client));
}

bool Fits(std::string_view key, std::string_view value) {
  return key.size() <= kKeyBytesMax && value.size() <= kValueBytesMax;
}

bool IsSmall(const Request& request) {
  size_t bytes = 0;
  for (const Request::Range& argument : request) bytes += argument.size;
  return bytes <= kLinkedBytesMax;
}

bool IsWord(std::string_view argument, std::string_view word) {
  return argument.size() == word.size() &&
         std::equal(word.begin(), word.end(), argument.begin(),
                    [](char letter, char given) { return letter == (given & ~0x20) && (given & 0x40); });
}

struct SetOptions {
  bool only_absent = false, only_present = false, shows_old = false;
};

// Nothing when an option is not known, or excludes another: Python says what is wrong. KEEPTTL asks for what is so
// anyway, for nothing expires.
std::optional<SetOptions> ReadSetOptions(const Request& request) {
  SetOptions options;
  for (size_t i = 3; i < request.size(); ++i) {
    if (IsWord(request[i], "NX")) {
      options.only_absent = true;
    } else if (IsWord(request[i], "XX")) {
      options.only_present = true;
    } else if (IsWord(request[i], "GET")) {
      options.shows_old = true;
    } else if (!IsWord(request[i], "KEEPTTL")) {
      return std::nullopt;
    }
  }
  if (options.only_absent && options.only_present) return std::nullopt;
  return options;
}

}  // namespace

bool Executor::Execute(const SimpleCommand& command, const Request& request, ClientView& client) {
  if (request.size() < command.arguments_min || request.size() > command.arguments_max) return false;
  if (taken_ == Taken::kNothing || command.operation >= Operator::kBegin) return false;
  const bool reads = command.operation <= Operator::kPart;
  if (!reads && taken_ != Taken::kAll) return false;
  try {
    if (!(reads ? Read(command.operation, request, client) : Write(command.operation, request, client))) return false;
  } catch (const LimitError&) {
    return false;
  }
  Count(command, 1);
  // What a transaction executes is counted when all of it is done.
  if (client.transaction == nullptr) command.calls += 1;
  return true;
}

void Executor::Count(const SimpleCommand& command, size_t times) {
  counts_.commands += times;
  if (command.operation > Operator::kEcho)
    (command.operation <= Operator::kPart ? counts_.reads : counts_.writes) += times;
}

bool Executor::Defer(const SimpleCommand& command, const Request& request, const ClientView& client) {
  const bool is_plain = command.operation == Operator::kGet && request.size() == 2 && client.family == 0;
  if (!is_plain || taken_ == Taken::kNothing || client.replies.holds()) return false;
  deferred_.push_back(request[1]);
  deferred_command_ = &command;
  return true;
}

void Executor::AnswerDeferred(size_t bytes_max, ClientView& client) {
  if (deferred_.empty() || !Place()) return;
  made_.clear();
  values_.assign(deferred_.size(), {});
  const size_t looked = LookTogether(*point_.view, deferred_, [&](size_t i, const LookupResult& found) {
    if (made_.size() > bytes_max) {
      values_[i].left = true;
    } else if (found.present()) {
      values_[i] = {made_.size(), found.value.size(), true, false};
      made_ += found.value;
    }
  });

  size_t answered = 0;
  std::string& reply = client.replies.bytes();
  for (; answered < looked && !values_[answered].left; ++answered) {
    const Value& value = values_[answered];
    ++(value.present ? counts_.hits : counts_.misses);
    AppendMade(reply, value, client);
    client.replies.Close();
  }
  Count(*deferred_command_, answered);
  deferred_command_->calls += answered;
  deferred_.erase(deferred_.begin(), deferred_.begin() + static_cast<ptrdiff_t>(answered));
}

void Executor::AppendMade(std::string& to, const Value& value, const ClientView& client) const {
  if (value.present) return AppendBulk(to, std::string_view(made_).substr(value.begin, value.size));
  to += Nil(client);
}

bool Executor::ExecuteTogether(const Queue& queue, ClientView& client) {
  if (taken_ != Taken::kAll || !Place()) return false;
  const CommandCounts before = counts_;
  Transaction transaction;
  client.transaction = &transaction;
  bool done = true;
  try {
    for (size_t i = 0; i < queue.size(); ++i) {
      done = Execute(queue.command(i), queue.request(i), client) &&
             transaction.replies.size() <= limits_.reply_bytes_max && transaction.size_bytes() <= kWrittenBytesMax &&
             !(turn_is_over() && i + 1 < queue.size());
      if (!done) break;
    }
    if (done) group_.Prepare();
  } catch (...) {
    client.transaction = nullptr;
    counts_ = before;
    throw;
  }
  client.transaction = nullptr;
  if (!done) {
    counts_ = before;
    return false;
  }

  // Nothing can fail any more. Only the reply of EXEC says what was written.
  client.Append(kOk);
  for (size_t i = 0; i < queue.size(); ++i) client.Append(kQueued);
  if (!transaction.changes().empty()) {
    group_.AddAll(client.replies, client.family, transaction.changes());
  } else {
    HoldForAll(transaction.saw_group, client);
  }
  AppendNumber(client.out(), '*', static_cast<int64_t>(queue.size()));
  client.Append(transaction.replies);
  counts_.commands += 2;
  for (size_t i = 0; i < queue.size(); ++i) queue.command(i).calls += 1;
  return true;
}

bool Executor::Read(Operator operation, const Request& request, ClientView& client) {
  switch (operation) {
    case Operator::kPing:
      if (request.size() == 1) {
        client.Append(kPong);
      } else {
        AnswerBulk(client, request[1]);
      }
      return true;
    case Operator::kEcho:
      AnswerBulk(client, request[1]);
      return true;
    case Operator::kGet:
      return Get(request, client);
    case Operator::kMultiGet:
      return MultiGet(request, client);
    case Operator::kExists:
      return Exists(request, client);
    case Operator::kLength: {
      Found found;
      if (!Look(request[1], client, &found)) return false;
      HoldFor(found, client);
      AnswerNumber(client, static_cast<int64_t>(found.value.size()));
      return true;
    }
    default:
      return Part(request, client);
  }
}

bool Executor::Write(Operator operation, const Request& request, ClientView& client) {
  if (!Writable(client) || (group_.stamps().Links(client.family) && !IsSmall(request))) return false;
  switch (operation) {
    case Operator::kSet:
      return Set(request, client);
    case Operator::kSetAbsent:
      return SetAbsent(request, client);
    case Operator::kMultiSet:
      return MultiSet(request, client);
    case Operator::kDelete:
      return Delete(request, client);
    case Operator::kAppend:
      return Append(request, client);
    case Operator::kAdd:
      return Add(request[1], 1, client);
    case Operator::kSubtract:
      return Add(request[1], -1, client);
    default: {
      const std::optional<int64_t> change = ParseInteger(request[2]);
      if (!change || *change == INT64_MIN) return false;
      return Add(request[1], operation == Operator::kAddBy ? *change : -*change, client);
    }
  }
}

bool Executor::Get(const Request& request, ClientView& client) {
  Found found;
  if (!Look(request[1], client, &found)) return false;
  HoldFor(found, client);
  ++(found.present ? counts_.hits : counts_.misses);
  AnswerValue(client, found.present ? std::optional(found.value) : std::nullopt);
  return true;
}

bool Executor::MultiGet(const Request& request, ClientView& client) {
  if (request.size() > limits_.keys_max || !Place()) return false;
  const size_t count = request.size() - 1;
  values_.assign(count, {});
  made_.clear();
  const auto keep = [&](size_t i, std::string_view value) {
    values_[i] = {made_.size(), value.size(), true, false};
    made_ += value;
  };

  if (client.sees_newest()) {
    // What these show is held back: the newest decides for all of them.
    bool in_group = false;
    for (size_t i = 0; i < count; ++i) {
      Found found;
      if ((turn_is_over() && i > 0) || !LookNewest(request[i + 1], client, &found)) return false;
      in_group |= found.in_group;
      if (found.present) keep(i, found.value);
      if (made_.size() > limits_.reply_bytes_max) return false;
    }
    HoldForAll(in_group, client);
  } else {
    keys_.clear();
    for (size_t i = 0; i < count; ++i) keys_.push_back(request[i + 1]);
    const auto family = client.family == 0 ? point_.view : source_.Family(client.family, point_.visible);
    if (family == nullptr) return false;
    const size_t looked = LookTogether(*family, keys_, [&](size_t i, const LookupResult& found) {
      if (found.present() && made_.size() <= limits_.reply_bytes_max) keep(i, found.value);
    });
    if (looked < count || made_.size() > limits_.reply_bytes_max) return false;
  }

  std::string& reply = client.out();
  AppendNumber(reply, '*', static_cast<int64_t>(count));
  for (const Value& value : values_) {
    ++(value.present ? counts_.hits : counts_.misses);
    AppendMade(reply, value, client);
  }
  client.Close();
  return true;
}

bool Executor::Exists(const Request& request, ClientView& client) {
  if (request.size() > limits_.keys_max) return false;
  int64_t count = 0;
  bool in_group = false;
  for (size_t i = 1; i < request.size(); ++i) {
    Found found;
    if ((turn_is_over() && i > 1) || !Look(request[i], client, &found)) return false;
    in_group |= found.in_group;
    count += found.present ? 1 : 0;
  }
  if (client.sees_newest()) HoldForAll(in_group, client);
  AnswerNumber(client, count);
  return true;
}

bool Executor::Part(const Request& request, ClientView& client) {
  const std::optional<int64_t> first = ParseInteger(request[2]);
  const std::optional<int64_t> last = ParseInteger(request[3]);
  Found found;
  if (!first || !last || !Look(request[1], client, &found)) return false;
  HoldFor(found, client);
  AnswerBulk(client, PartOf(found.value, *first, *last));
  return true;
}

bool Executor::Set(const Request& request, ClientView& client) {
  const std::string_view key = request[1], value = request[2];
  if (!Fits(key, value)) return false;
  if (request.size() == 3) {
    Put(key, value, client);
    client.Append(kOk);
    return true;
  }

  const std::optional<SetOptions> options = ReadSetOptions(request);
  if (!options) return false;
  Found found;
  const bool depends = options->only_absent || options->only_present || options->shows_old;
  if (depends && !LookNewest(key, client, &found)) return false;
  // The old value may stand in the group's bytes, which move when it grows.
  made_ = options->shows_old ? found.value : std::string_view();
  const std::optional<std::string_view> old = found.present ? std::optional<std::string_view>(made_) : std::nullopt;
  if (depends) HoldFor(found, client);
  const bool writes = !(options->only_absent && found.present) && !(options->only_present && !found.present);
  if (writes) Put(key, value, client);
  if (options->shows_old) {
    AnswerValue(client, old);
  } else {
    client.Append(writes ? kOk : Nil(client));
  }
  return true;
}

bool Executor::SetAbsent(const Request& request, ClientView& client) {
  Found found;
  if (!Fits(request[1], request[2]) || !LookNewest(request[1], client, &found)) return false;
  HoldFor(found, client);
  if (!found.present) Put(request[1], request[2], client);
  AnswerNumber(client, found.present ? 0 : 1);
  return true;
}

bool Executor::MultiSet(const Request& request, ClientView& client) {
  if (request.size() % 2 == 0) return false;
  keys_.clear();
  size_t bytes = 0;
  for (size_t i = 1; i < request.size(); ++i) {
    keys_.push_back(request[i]);
    bytes += request[i].size();
  }
  if (bytes > kWrittenBytesMax) return false;
  PutAll(keys_, client);
  client.Append(kOk);
  return true;
}

bool Executor::Delete(const Request& request, ClientView& client) {
  if (request.size() > kDeletedMax) return false;
  keys_.clear();
  bool in_group = false;
  for (size_t i = 1; i < request.size(); ++i) {
    Found found;
    if ((turn_is_over() && i > 1) || request[i].size() > kKeyBytesMax) return false;
    if (!LookNewest(request[i], client, &found)) return false;
    in_group |= found.in_group;
    const bool is_new = std::find(keys_.begin(), keys_.end(), request[i]) == keys_.end();
    if (found.present && is_new) keys_.push_back(request[i]);
  }
  HoldForAll(in_group, client);
  if (!keys_.empty()) DeleteAll(keys_, client);
  AnswerNumber(client, static_cast<int64_t>(keys_.size()));
  return true;
}

bool Executor::Add(std::string_view key, int64_t change, ClientView& client) {
  Found found;
  if (key.size() > kKeyBytesMax || !LookNewest(key, client, &found)) return false;
  const std::optional<int64_t> old = found.present ? ParseInteger(found.value) : std::optional<int64_t>(0);
  int64_t number;
  if (!old || __builtin_add_overflow(*old, change, &number)) return false;
  HoldFor(found, client);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  PutMade(key, {digits, static_cast<size_t>(end - digits)}, client);
  AnswerNumber(client, number);
  return true;
}

bool Executor::Append(const Request& request, ClientView& client) {
  Found found;
  if (!LookNewest(request[1], client, &found)) return false;
  if (found.value.size() + request[2].size() > limits_.string_bytes_max) return false;
  made_ = found.value;
  made_ += request[2];
  if (!Fits(request[1], made_)) return false;
  if (made_.size() > kLinkedBytesMax && group_.stamps().Links(client.family)) return false;
  HoldFor(found, client);
  PutMade(request[1], made_, client);
  AnswerNumber(client, static_cast<int64_t>(made_.size()));
  return true;
}

bool Executor::Place() {
  if (!is_placed_) {
    point_ = source_.Now();
    is_placed_ = true;
  }
  return point_.view != nullptr;
}

bool Executor::Look(std::string_view key, const ClientView& client, Found* found) {
  if (client.sees_newest()) return LookNewest(key, client, found);
  return Place() && LookAt(key, client.family, point_.visible, found);
}

bool Executor::LookNewest(std::string_view key, const ClientView& client, Found* found) {
  if (!Place()) return false;
  found->newest = true;
  if (client.transaction != nullptr) {
    if (const Transaction::Change* change = client.transaction->Find(key)) {
      found->present = !change->deletes;
      found->value = change->value;
      return true;
    }
  }
  if (const std::optional<Operation> operation = group_.Find(client.family, key)) {
    found->in_group = true;
    found->present = operation->tag == Tag::kPut;
    if (found->present) found->value = operation->value;
    return true;
  }
  return LookAt(key, client.family, point_.appended, found);
}

bool Executor::LookAt(std::string_view key, uint32_t family, uint64_t sequence, Found* found) {
  const auto view = family == 0 ? point_.view : source_.Family(family, sequence);
  if (view == nullptr) return false;
  found->result = view->Get(key, sequence);
  found->present = found->result.present();
  if (found->present) found->value = found->result.value;
  seen_bytes_ += found->value.size();
  CountWork(1);
  return true;
}

void Executor::CountWork(size_t count) {
  work_ += count;
  if (work_ < kLookAfter) return;
  work_ = 0;
  const double now = now_();
  if (!ends_at_) ends_at_ = now + kTurnSeconds;
  is_late_ |= now > *ends_at_;
}

template <typename Visit>
size_t Executor::LookTogether(const ReadView& view, const std::vector<std::string_view>& keys, Visit visit) {
  const size_t enough = seen_bytes_ + kSeenBytesMax;
  size_t looked = 0;
  for (size_t step = 4; looked < keys.size() && seen_bytes_ <= enough && (looked == 0 || !is_late_);
       step = std::min<size_t>(4 * step, 64)) {
    const size_t count = std::min(step, keys.size() - looked);
    some_.assign(keys.begin() + static_cast<ptrdiff_t>(looked), keys.begin() + static_cast<ptrdiff_t>(looked + count));
    view.MultiGet(some_, point_.visible, [&](size_t i, const LookupResult& found) {
      if (found.present()) seen_bytes_ += found.value.size();
      visit(looked + i, found);
    });
    looked += count;
    CountWork(count);
  }
  return looked;
}

void Executor::HoldFor(const Found& found, ClientView& client) {
  if (found.newest) HoldForAll(found.in_group, client);
}

void Executor::HoldForAll(bool any_in_group, ClientView& client) {
  if (client.transaction != nullptr) {
    client.transaction->saw_group |= any_in_group;  // The whole EXEC waits.
    return;
  }
  // What the open group writes may still fail: a reply that shows it waits for it, and fails with it.
  if (any_in_group) group_.Depend(client.replies);
  client.replies.Hold(point_.appended, point_.visible);
}

void Executor::Put(std::string_view key, std::string_view value, ClientView& client) {
  if (client.transaction != nullptr) return client.transaction->Put(key, value);
  group_.Put(client.replies, client.family, key, value);
}

void Executor::PutMade(std::string_view key, std::string_view value, ClientView& client) {
  Put(key, client.transaction == nullptr ? value : client.transaction->Keep(value), client);
}

void Executor::PutAll(const std::vector<std::string_view>& keys_and_values, ClientView& client) {
  if (client.transaction == nullptr) return group_.PutAll(client.replies, client.family, keys_and_values);
  for (size_t i = 0; i < keys_and_values.size(); i += 2) {
    if (!Fits(keys_and_values[i], keys_and_values[i + 1])) throw LimitError("a key or a value is too long");
    client.transaction->Put(keys_and_values[i], keys_and_values[i + 1]);
  }
}

void Executor::DeleteAll(const std::vector<std::string_view>& keys, ClientView& client) {
  if (client.transaction == nullptr) return group_.DeleteAll(client.replies, client.family, keys);
  for (const std::string_view key : keys) client.transaction->Delete(key);
}

bool Executor::Writable(const ClientView& client) {
  if (client.family == 0) return true;
  return Place() && source_.Family(client.family, point_.appended) != nullptr;
}

}  // namespace replicad
