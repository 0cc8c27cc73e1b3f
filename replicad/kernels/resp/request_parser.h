// RequestParser: the requests of RESP, and the lines of inline commands, found in place in bytes that come in any
// pieces.
//
//     request := "*" count CRLF bulk{count}        bulk := "$" length CRLF byte{length} CRLF
//     inline  := everything else up to LF
//
// An exact machine: what it says depends on the bytes and not on how they were cut. It checks each limit before it
// waits for more, copies nothing, and looks at no byte twice. Not thread-safe.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

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

// A whole request, or a line, where it stands. Good until its bytes move.
class Request {
 public:
  struct Range {
    uint32_t begin, size;
  };

  Request(const char* bytes, const Range* arguments, size_t size) : bytes_(bytes), arguments_(arguments), size_(size) {}

  size_t size() const { return size_; }
  const char* bytes() const { return bytes_; }
  const Range* begin() const { return arguments_; }
  const Range* end() const { return arguments_ + size_; }
  std::string_view operator[](size_t i) const { return {bytes_ + arguments_[i].begin, arguments_[i].size}; }

 private:
  const char* bytes_;
  const Range* arguments_;
  size_t size_;
};

class RequestParser {
 public:
  enum class Found { kNothing, kRequest, kLine };

  explicit RequestParser(const RequestLimits& limits) : limits_(limits) {}

  // Reads on in the request under way: `bytes` are those from its first on, as many as there are by now. When it is
  // whole, what() gives it, and Consume() goes on to the next. An empty array is a request without arguments.
  Found Read(std::string_view bytes);
  Request what(std::string_view bytes) const { return {bytes.data(), arguments_.data(), arguments_.size()}; }
  // Of a line, without its LF.
  std::string_view line(std::string_view bytes) const { return bytes.substr(0, end_ - 1); }
  // How many bytes the whole request takes. Begins the next one.
  size_t Consume();

  // For what is read from now on.
  void set_limits(const RequestLimits& limits) { limits_ = limits; }

  // At least this many bytes belong to the request under way.
  size_t needed() const { return in_bulk_ ? at_ + bulk_bytes_ + 2 : at_ + 1; }

 private:
  // Each: where the line at `at_` ends; false when its end has not come.
  bool RequestHeader(std::string_view bytes, size_t* end);
  bool BulkHeader(std::string_view bytes, size_t* end);
  bool Line(std::string_view bytes, size_t* end) const;

  RequestLimits limits_;
  std::vector<Request::Range> arguments_;
  size_t at_ = 0;   // how far the request was read
  size_t end_ = 0;  // of what was found
  uint64_t arguments_left_ = 0;
  bool in_bulk_ = false;
  uint64_t bulk_bytes_ = 0;
  uint64_t request_bytes_ = 0;  // declared by the headers so far
};

}  // namespace replicad
