#include "resp/request_parser.h"

#include <algorithm>
#include <optional>

namespace replicad {
namespace {

constexpr size_t kHeaderBytesMax = 32;

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

bool RequestParser::RequestHeader(std::string_view bytes, size_t at, size_t* end) {
  if (!HeaderEnd(bytes, at, "too big mbulk count string", end)) return false;
  const auto count = Number(bytes.substr(at + 1, *end - at - 1));
  if (!count || (*count > 0 && static_cast<uint64_t>(*count) > limits_.arguments_max)) {
    throw MalformedRequest("invalid multibulk length");
  }
  arguments_left_ = *count > 0 ? static_cast<uint64_t>(*count) : 0;  // An empty array asks for nothing.
  request_bytes_ = 0;
  whole_bytes_ = 0;
  return true;
}

bool RequestParser::BulkHeader(std::string_view bytes, size_t at, size_t* end) {
  if (bytes[at] != '$') throw MalformedRequest("expected '$', got '" + Shown(bytes[at]) + "'");
  if (!HeaderEnd(bytes, at, "too big bulk count string", end)) return false;
  const auto length = Number(bytes.substr(at + 1, *end - at - 1));
  if (!length || *length < 0 || static_cast<uint64_t>(*length) > limits_.bulk_bytes_max) {
    throw MalformedRequest("invalid bulk length");
  }
  bulk_bytes_ = static_cast<uint64_t>(*length);
  request_bytes_ += bulk_bytes_;
  if (request_bytes_ > limits_.request_bytes_max) throw MalformedRequest("too big request");
  in_bulk_ = true;
  return true;
}

bool RequestParser::Line(std::string_view bytes, size_t at, size_t* end) const {
  const std::string_view line = bytes.substr(at, limits_.inline_bytes_max);
  const size_t found = line.find('\n');
  if (found == std::string_view::npos) {
    if (line.size() == limits_.inline_bytes_max) throw MalformedRequest("too big inline request");
    return false;
  }
  *end = at + found;
  return true;
}

}  // namespace replicad
