// ClientSockets: reads, executes and answers for all clear-text clients of a server, with one epoll descriptor.
//
//     epoll --> recv --> ClientPort::Feed --> ... the group goes to the log ... --> send
//
// The event loop of Python watches the epoll descriptor. It calls Receive when something is ready, and Send when the
// round's writes are visible. Python hears of a client only when there is something for it to do. Nothing here blocks.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "resp/client_port.h"
#include "resp/reply_queue.h"

namespace replicad {

class ClientSockets;

// One client's socket; closes it at its end.
class ClientSocket : public Outlet {
 public:
  // Takes over the descriptor, which must not block. Reads nothing until it is told to.
  ClientSocket(ClientSockets& sockets, int fd, ClientPort& port);
  ~ClientSocket() override { Close(); }

  void Read(bool wanted);
  // Sends what is ready, as far as the system takes it; the rest goes when it takes more.
  void Send();
  void Close();

  bool SendSoon() override;

  bool is_open() const { return fd_ >= 0; }
  // The client sends nothing more.
  bool ended() const { return ended_; }
  // The connection is lost.
  bool failed() const { return failed_; }
  // Much waits for the client: until most of it was sent.
  bool is_full() const { return is_full_; }
  // Somebody waits until all is sent.
  bool drains = false;
  bool is_drained() { return drains && replies().ready().empty(); }

  ClientSockets& sockets() const { return sockets_; }
  ClientPort& port() const { return port_; }
  ReplyQueue& replies() { return port_.view().replies; }

 private:
  friend class ClientSockets;

  void Watch();
  void CountUnsent(size_t unsent);

  ClientSockets& sockets_;
  ClientPort& port_;
  int fd_;
  bool reads_ = false;
  bool waits_to_send_ = false;  // the system took less than there was
  bool is_dirty_ = false;       // in ClientSockets::dirty_
  bool ended_ = false, failed_ = false, is_full_ = false;
  size_t unsent_ = 0;  // as it is counted in ClientSockets::unsent_bytes_
};

class ClientSockets {
 public:
  // `unsent_bytes_max`: when more waits for a client, Python is told.
  ClientSockets(Engine& engine, CommandCounts& counts, size_t unsent_bytes_max);
  ClientSockets(const ClientSockets&) = delete;
  ~ClientSockets();

  int fd() const { return epoll_; }
  Engine& engine() const { return engine_; }
  CommandCounts& counts() const { return counts_; }

  // Receives once from each socket that is ready, and executes what came, for about `seconds`, and until more than
  // `input_bytes_max` were counted of all input: sockets that are left have their turn at the next call. Each that has
  // something for Python to do gets a call of tell(socket, hand); its `Hand` took the requests that are Python's.
  template <typename Hand, typename Tell>
  void Receive(Taken taken, double seconds, uint64_t input_bytes_max, Tell tell);
  // How many sockets the last call served.
  size_t served() const { return served_; }
  // Sends what became ready since the last call; the sockets of which much had to stay, or does no more, or that
  // somebody waits for until all is sent.
  std::vector<ClientSocket*> Send();
  // What all clients together have not taken yet.
  size_t unsent_bytes() const { return unsent_bytes_; }

 private:
  friend class ClientSocket;

  // Sockets are served between two looks at the clock.
  static constexpr size_t kLookAfter = 8;

  // What recv gave.
  enum class Received { kBytes, kNothing, kEnd, kFailure };
  Received ReceiveFrom(ClientSocket& socket, std::string_view* bytes);
  void Forget(ClientSocket* socket);
  bool has_more() const { return next_event_ < events_count_; }
  bool Wait();

  Engine& engine_;
  CommandCounts& counts_;
  const size_t unsent_bytes_max_;
  int epoll_;
  std::array<epoll_event, 256> events_;
  size_t next_event_ = 0, events_count_ = 0, served_ = 0;
  size_t unsent_bytes_ = 0;
  std::vector<ClientSocket*> dirty_;
  std::vector<char> scratch_;
};

template <typename Hand, typename Tell>
void ClientSockets::Receive(Taken taken, double seconds, uint64_t input_bytes_max, Tell tell) {
  served_ = 0;
  if (!has_more() && !Wait()) return;
  const double begun = engine_.now();
  while (has_more()) {
    const epoll_event& ready = events_[next_event_++];
    auto* socket = static_cast<ClientSocket*>(ready.data.ptr);
    if (socket == nullptr) continue;  // closed since
    Hand hand;
    bool tells = false;
    if (ready.events & EPOLLOUT) {
      const bool was_full = socket->is_full_;
      socket->Send();
      tells = was_full != socket->is_full_ || socket->is_drained();
    }
    // An error, or the end of both directions, is found by receiving, also while nobody wants to read.
    if (ready.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
      std::string_view bytes;
      switch (ReceiveFrom(*socket, &bytes)) {
        case Received::kBytes:
          counts_.input_bytes += bytes.size();
          socket->port_.last_input_at = begun;
          try {
            socket->port_.Feed(bytes, taken, hand);
          } catch (const std::bad_alloc&) {
            // One client's loss: what the others handed over in this call must reach Python.
            socket->failed_ = tells = true;
            break;
          }
          socket->SendSoon();
          tells |= hand.has_any() || socket->port_.needs_attention();
          break;
        case Received::kNothing:
          break;
        case Received::kEnd:
          // After the end of a client recv says nothing else, also when the connection was reset since.
          (ready.events & (EPOLLERR | EPOLLHUP) ? socket->failed_ : socket->ended_) = tells = true;
          socket->Read(false);
          break;
        case Received::kFailure:
          socket->failed_ = tells = true;
          break;
      }
    }
    if (tells) tell(*socket, hand);
    // A socket whose turn was over may have taken long.
    const bool looks = ++served_ % kLookAfter == 0 || tells;
    if (counts_.input_bytes > input_bytes_max || (looks && engine_.now() - begun > seconds)) return;
  }
}

}  // namespace replicad
