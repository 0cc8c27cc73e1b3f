#include "resp/request_parser.h"

#include <algorithm>
#include <optional>

namespace replicad {
namespace {

constexpr size_t kHeaderBytesMax = 32;
// A connection does not keep the room of one request with many arguments.
constexpr size_t kKeptArgumentsMax = 1024;
// Places in a request fit 32 bits: it ends well before that.
constexpr uint64_t kPlaceMax = UINT32_MAX - kHeaderBytesMax;

// Whether a header's line ends within its limit of bytes; false when that has not come yet.
bool HeaderEnd(std::string_view bytes, size_t at, const char* too_long, size_t* end) {
  const std::string_view line = bytes.substr(at, kHeaderBytesMax);
  const size_t found = line.find("\r\n");
  if (found == std::string_view::npos) {
    if (line.size() == kHeaderBytesMax) throw MalformedRequest(too_long);
    return false;
  }
  *end = at + found;
  return true;
}

// 0, or digits without a leading zero, and perhaps a sign: 19 digits at most.
std::optional<int64_t> Number(std::string_view digits) {
  if (digits == "0") return 0;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (negative) digits.remove_prefix(1);
  if (digits.empty() || digits.size() > 19 || digits[0] < '1' || digits[0] > '9') return std::nullopt;
  uint64_t value = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(digit - '0');
  }
  // 19 digits fit 64 bits without a sign; a limit is far below what has to be cut off here.
  const int64_t signed_value = static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
  return negative ? -signed_value : signed_value;
}

// As a message shows it.
std::string Shown(char byte) { return byte > 0x20 && byte < 0x7F ? std::string(1, byte) : std::string("?"); }

}  // namespace

RequestParser::Found RequestParser::Read(std::string_view bytes) {
  // A byte that decides what comes has to be there.
  if (at_ == 0 && !bytes.empty()) {
    size_t end;
    if (bytes[0] != '*') {
      if (!Line(bytes, &end)) return Found::kNothing;
      end_ = end + 1;
      return Found::kLine;
    }
    if (!RequestHeader(bytes, &end)) return Found::kNothing;
    at_ = end + 2;
  }
  while (arguments_left_ > 0) {
    size_t end;
    if (!in_bulk_) {
      if (at_ == bytes.size() || !BulkHeader(bytes, &end)) return Found::kNothing;
      at_ = end + 2;
    }
    // Room for the value and CRLF; `bytes` is never so long that this could overflow.
    if (bytes.size() - at_ < bulk_bytes_ + 2) return Found::kNothing;
    end = at_ + bulk_bytes_;
    if (bytes[end] != '\r' || bytes[end + 1] != '\n') throw MalformedRequest("expected CRLF after bulk");
    arguments_.push_back({static_cast<uint32_t>(at_), static_cast<uint32_t>(bulk_bytes_)});
    in_bulk_ = false;
    at_ = end + 2;
    --arguments_left_;
  }
  end_ = at_;
  return at_ > 0 ? Found::kRequest : Found::kNothing;
}

size_t RequestParser::Consume() {
  at_ = 0;
  arguments_.clear();
  if (arguments_.capacity() > kKeptArgumentsMax) arguments_.shrink_to_fit();
  return end_;
}

bool RequestParser::RequestHeader(std::string_view bytes, size_t* end) {
  if (!HeaderEnd(bytes, 0, "too big mbulk count string", end)) return false;
  const auto count = Number(bytes.substr(1, *end - 1));
  if (!count || (*count > 0 && static_cast<uint64_t>(*count) > limits_.arguments_max)) {
    throw MalformedRequest("invalid multibulk length");
  }
  arguments_left_ = *count > 0 ? static_cast<uint64_t>(*count) : 0;  // An empty array asks for nothing.
  request_bytes_ = 0;
  return true;
}

bool RequestParser::BulkHeader(std::string_view bytes, size_t* end) {
  if (bytes[at_] != '$') throw MalformedRequest("expected '$', got '" + Shown(bytes[at_]) + "'");
  if (!HeaderEnd(bytes, at_, "too big bulk count string", end)) return false;
  const auto length = Number(bytes.substr(at_ + 1, *end - at_ - 1));
  if (!length || *length < 0 || static_cast<uint64_t>(*length) > limits_.bulk_bytes_max) {
    throw MalformedRequest("invalid bulk length");
  }
  bulk_bytes_ = static_cast<uint64_t>(*length);
  request_bytes_ += bulk_bytes_;
  if (request_bytes_ > limits_.request_bytes_max || at_ + bulk_bytes_ > kPlaceMax)
    throw MalformedRequest("too big request");
  in_bulk_ = true;
  return true;
}

bool RequestParser::Line(std::string_view bytes, size_t* end) const {
  const std::string_view line = bytes.substr(0, limits_.inline_bytes_max);
  const size_t found = line.find('\n');
  if (found == std::string_view::npos) {
    if (line.size() == limits_.inline_bytes_max) throw MalformedRequest("too big inline request");
    return false;
  }
  *end = found;
  return true;
}

}  // namespace replicad
