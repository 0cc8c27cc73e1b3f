// Binds the parser of requests.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_requests.h"
#include "log/batch.h"
#include "resp/request_input.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

// Requests as lists of bytes, inline lines as bytes, in the order in which they came.
class PyRequestParser {
 public:
  explicit PyRequestParser(const RequestLimits& limits) : input_(limits) {}

  nb::list Feed(const BytesLike& data) {
    nb::list found;
    if (error_) return found;
    try {
      const auto visit = [&](RequestParser::Found kind, const Request& request, std::string_view line) {
        if (kind == RequestParser::Found::kLine) {
          found.append(ToBytes(line));
        } else if (request.size() > 0) {
          found.append(ToList(request));
        }
        return true;
      };
      input_.Feed(data.view(), visit, [] {});
    } catch (const MalformedRequest& error) {
      error_ = error.what();
    }
    return found;
  }

  const std::optional<std::string>& error() const { return error_; }
  const RequestInput& input() const { return input_; }

 private:
  RequestInput input_;
  std::optional<std::string> error_;
};

// [[kind, family, key, value or null], ...] of a batch's body, as RESP; none of it is made as Python objects.
// `bytes_max` is compared with its size before any of it is made.
nb::object EncodeOperations(const BytesLike& body, uint64_t bytes_max, const nb::bytes& null) {
  const auto digits = [](uint64_t value) { return std::to_string(value).size(); };
  size_t count = 0;
  uint64_t bytes = 0;
  const auto each = [&](auto use) {
    BatchReader reader(body.view());
    for (Operation operation; reader.Next(&operation);) {
      const bool has_value =
          operation.tag != Tag::kDelete && operation.tag != Tag::kCreateFamily && operation.tag != Tag::kDropFamily;
      use(operation, has_value);
    }
  };
  each([&](const Operation& operation, bool has_value) {
    ++count;
    bytes += 4 + 3 + digits(static_cast<uint64_t>(operation.tag)) + 3 + digits(operation.family);
    bytes += 5 + digits(operation.key.size()) + operation.key.size();
    bytes += has_value ? 5 + digits(operation.value.size()) + operation.value.size() : null.size();
  });
  bytes += 3 + digits(count);
  if (bytes > bytes_max) return nb::none();
  std::string reply;
  reply.reserve(bytes);
  const auto bulk = [&](std::string_view value) {
    reply.append("$").append(std::to_string(value.size())).append("\r\n").append(value).append("\r\n");
  };
  reply.append("*").append(std::to_string(count)).append("\r\n");
  each([&](const Operation& operation, bool has_value) {
    reply.append("*4\r\n:").append(std::to_string(static_cast<int>(operation.tag))).append("\r\n:");
    reply.append(std::to_string(operation.family)).append("\r\n");
    bulk(operation.key);
    if (has_value) {
      bulk(operation.value);
    } else {
      reply.append(View(null));
    }
  });
  return ToBytes(reply);
}

}  // namespace

void bind_request(nb::module_& m) {
  nb::class_<RequestLimits>(m, "RequestLimits", "What a request may take, in bytes or arguments.")
      .def(nb::init<uint64_t, uint64_t, uint64_t, uint64_t>(), nb::kw_only(), "arguments_max"_a, "bulk_bytes_max"_a,
           "request_bytes_max"_a, "inline_bytes_max"_a);
  nb::class_<PyRequestParser>(m, "RequestParser", "The requests of one connection, whatever pieces its bytes come in.")
      .def(nb::init<const RequestLimits&>(), "limits"_a)
      .def(
          "feed", &PyRequestParser::Feed, "data"_a,
          nb::sig("def feed(self, data: bytes | bytearray | memoryview) -> list[list[bytes] | bytes]"),
          "What these bytes complete: a request as a list of arguments, an inline command as its line. When `error` is "
          "set afterwards these came before it, and nothing more is read.")
      .def_prop_ro("error", &PyRequestParser::error,
                   "What is wrong with the bytes, safe to send back; None when nothing is.")
      .def_prop_ro(
          "unfinished", [](const PyRequestParser& parser) { return parser.input().unfinished(); },
          "Part of a request came, and the rest has not.")
      .def_prop_ro(
          "buffered_bytes", [](const PyRequestParser& parser) { return parser.input().buffered_bytes(); },
          "What came of an unfinished request.");
  m.def("encode_operations", &EncodeOperations, "body"_a, "bytes_max"_a, "null"_a,
        nb::sig(
            "def encode_operations(body: bytes | bytearray | memoryview, bytes_max: int, null: bytes) -> bytes | None"),
        "[[kind, family, key, value or null], ...] of a batch's body, as RESP; None when that has more bytes than "
        "these.");
}

}  // namespace replicad
