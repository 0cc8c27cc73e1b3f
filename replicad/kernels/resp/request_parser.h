// RequestParser: the requests of RESP, and the lines of inline commands, out of bytes that come in any pieces.
//
//     request := "*" count CRLF bulk{count}        bulk := "$" length CRLF byte{length} CRLF
//     inline  := everything else up to LF
//
// An exact machine: what it says depends on the bytes and not on how they were cut. It checks each limit before it
// waits for more, and keeps nothing but bytes that came. Not thread-safe.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace replicad {

struct RequestLimits {
  uint64_t arguments_max;
  uint64_t bulk_bytes_max;
  uint64_t request_bytes_max;  // all arguments of one
  uint64_t inline_bytes_max;
};

// The client's bytes are not a request; the message is safe to send back. The parser is out of step for good.
class MalformedRequest : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits) : limits_(limits) {}

  // Reads on with these bytes. `sink` has Argument(string_view), Request() after the last argument of a request, and
  // Inline(string_view) for a line without its LF. Throws MalformedRequest after what came before was handed over.
  template <typename Sink>
  void Feed(std::string_view data, Sink& sink) {
    if (buffer_.empty()) {
      const size_t end = Parse(data, sink);
      buffer_.assign(data.substr(end));
    } else {
      buffer_.append(data);
      buffer_.erase(0, Parse(buffer_, sink));
      // A connection does not keep the room of one large value.
      if (buffer_.capacity() > kKeptBytesMax && buffer_.size() < kKeptBytesMax) buffer_.shrink_to_fit();
    }
  }

  // Part of a request came, and the rest has not.
  bool unfinished() const { return !buffer_.empty() || arguments_left_ > 0; }
  // What came of it.
  size_t buffered_bytes() const { return whole_bytes_ + buffer_.size(); }

 private:
  static constexpr size_t kKeptBytesMax = size_t{256} << 10;

  // Hands over what is whole; returns where it stopped.
  template <typename Sink>
  size_t Parse(std::string_view bytes, Sink& sink) {
    size_t at = 0;
    while (at < bytes.size()) {
      size_t end;
      if (in_bulk_) {
        // Room for the value and CRLF; `bytes` is never so long that this could overflow.
        if (bytes.size() - at < bulk_bytes_ + 2) break;
        end = at + bulk_bytes_;
        if (bytes[end] != '\r' || bytes[end + 1] != '\n') throw MalformedRequest("expected CRLF after bulk");
        sink.Argument(bytes.substr(at, bulk_bytes_));
        whole_bytes_ += bulk_bytes_;
        in_bulk_ = false;
        at = end + 2;
        if (--arguments_left_ == 0) {
          whole_bytes_ = 0;
          sink.Request();
        }
      } else if (arguments_left_ > 0) {
        if (!BulkHeader(bytes, at, &end)) break;
        at = end + 2;
      } else if (bytes[at] == '*') {
        if (!RequestHeader(bytes, at, &end)) break;
        at = end + 2;
      } else {
        if (!Line(bytes, at, &end)) break;
        sink.Inline(bytes.substr(at, end - at));
        at = end + 1;
      }
    }
    return at;
  }

  // Each: where the line at `at` ends; false when its end has not come.
  bool RequestHeader(std::string_view bytes, size_t at, size_t* end);
  bool BulkHeader(std::string_view bytes, size_t at, size_t* end);
  bool Line(std::string_view bytes, size_t at, size_t* end) const;

  const RequestLimits limits_;
  std::string buffer_;
  uint64_t arguments_left_ = 0;
  bool in_bulk_ = false;
  uint64_t bulk_bytes_ = 0;
  uint64_t request_bytes_ = 0;  // declared by the headers so far
  size_t whole_bytes_ = 0;      // of the arguments handed over
};

}  // namespace replicad
