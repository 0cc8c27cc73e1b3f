// RequestInput: what came of one connection and was not consumed yet, and the requests in it.
#pragma once

#include <algorithm>
#include <string_view>

#include "base/buffer.h"
#include "base/bytes.h"
#include "resp/request_parser.h"

namespace replicad {

class RequestInput {
 public:
  explicit RequestInput(const RequestLimits& limits) : parser_(limits) {}

  // Visits the whole requests, in order, as visit(found, Request, line), until one returns false: that one and what
  // comes after it stay, for the next call. Throws MalformedRequest after what came before was visited.
  //
  // Bytes are copied only when they have to stay; until `finish` was called, after the last visit, those that were
  // visited stay where they are.
  template <typename Visit, typename Finish>
  void Feed(std::string_view data, Visit visit, Finish finish) {
    const bool is_new = kept_.empty();
    if (!is_new) Keep(data);
    size_t taken = 0;
    try {
      try {
        Walk(is_new ? data : kept_.view(), &taken, visit);
      } catch (const MalformedRequest&) {
        finish();
        throw;
      }
      finish();
    } catch (...) {
      Settle(is_new, data, taken);
      throw;
    }
    Settle(is_new, data, taken);
  }

  void set_limits(const RequestLimits& limits) { parser_.set_limits(limits); }
  // What one request changes counts for how the next is read: nothing is read beyond it.
  bool one_by_one = false;
  // Part of a request came, or requests that wait for their turn.
  bool unfinished() const { return !kept_.empty(); }
  size_t buffered_bytes() const { return kept_.size(); }
  // The last visit returned false, or was the only one that was allowed: there is something to do without more input.
  bool stopped() const { return stopped_; }

 private:
  void Settle(bool is_new, std::string_view data, size_t taken) {
    if (!is_new) {
      kept_.RemovePrefix(taken);
    } else if (taken < data.size()) {
      Keep(data.substr(taken));
    }
  }

  void Keep(std::string_view data) {
    if (data.empty()) return;
    // The buffer grows as bytes come, and not as lengths are declared, and by little: many clients may be in the middle
    // of a large value. It does not grow beyond what belongs to the request.
    const size_t size = kept_.size() + data.size();
    kept_.Reserve(std::max(size, std::min(size + size / 4, parser_.needed())));
    PutBytes(kept_.Extend(data.size()), data);
  }

  template <typename Visit>
  void Walk(std::string_view bytes, size_t* taken, Visit visit) {
    stopped_ = false;
    while (*taken < bytes.size()) {
      const std::string_view rest = bytes.substr(*taken);
      const auto found = parser_.Read(rest);
      if (found == RequestParser::Found::kNothing) return;
      const bool is_line = found == RequestParser::Found::kLine;
      if (!visit(found, parser_.what(rest), is_line ? parser_.line(rest) : std::string_view())) {
        stopped_ = true;
        return;
      }
      *taken += parser_.Consume();
      if (one_by_one && *taken < bytes.size()) {
        stopped_ = true;
        return;
      }
    }
  }

  RequestParser parser_;
  Buffer kept_;
  bool stopped_ = false;
};

}  // namespace replicad
