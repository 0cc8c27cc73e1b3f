// Arguments that are numbers, read as strictly as Redis does, and the parts of values that they name.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace replicad {

// A 64-bit integer in its one spelling: no sign but "-", no zeros in front, no blanks.
inline std::optional<int64_t> ParseInteger(std::string_view digits) {
  const std::string_view unsigned_part = digits.substr(!digits.empty() && digits[0] == '-' ? 1 : 0);
  const bool is_zero = digits == "0";
  if (!is_zero && (unsigned_part.empty() || unsigned_part[0] < '1' || unsigned_part[0] > '9')) return std::nullopt;
  int64_t number;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

// The bytes from `first` through `last`, where a negative place counts from the end, as in Redis's GETRANGE.
inline std::string_view PartOf(std::string_view value, int64_t first, int64_t last) {
  const auto length = static_cast<int64_t>(value.size());
  const auto place = [length](int64_t at) { return at < 0 ? std::max<int64_t>(0, at + length) : at; };
  const int64_t begin = place(first);
  const int64_t end = std::min(place(last), length - 1);
  if ((last < first && first < 0) || begin > end) return {};
  return value.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin + 1));
}

}  // namespace replicad
