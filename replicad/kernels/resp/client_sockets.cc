#include "resp/client_sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace replicad {
namespace {

constexpr size_t kReceivedBytesMax = size_t{64} << 10;

}  // namespace

ClientSocket::ClientSocket(ClientSockets& sockets, int fd, ClientPort& port) : sockets_(sockets), port_(port), fd_(fd) {
  epoll_event event{.events = 0, .data = {.ptr = this}};
  if (epoll_ctl(sockets.epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
    fd_ = -1;  // It is still the caller's.
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
  replies().outlet = this;
}

void ClientSocket::Read(bool wanted) {
  wanted &= !ended_;
  if (reads_ == wanted) return;
  reads_ = wanted;
  Watch();
}

void ClientSocket::Watch() {
  if (fd_ < 0) return;
  epoll_event event{.events = (reads_ ? EPOLLIN : 0u) | (waits_to_send_ ? EPOLLOUT : 0u), .data = {.ptr = this}};
  epoll_ctl(sockets_.epoll_, EPOLL_CTL_MOD, fd_, &event);
}

void ClientSocket::Send() {
  if (fd_ < 0 || failed_) return;
  bool full = false;
  while (!full && !replies().ready().empty()) {
    const std::string_view ready = replies().ready();
    const ssize_t sent = send(fd_, ready.data(), ready.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      sockets_.counts_.output_bytes += static_cast<size_t>(sent);
      replies().Sent(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      full = true;
    } else if (errno != EINTR) {
      // Receiving finds out that the connection is lost, and tells it.
      failed_ = true;
      shutdown(fd_, SHUT_RDWR);
      return;
    }
  }
  // A queue that is full stays so until most of it was sent.
  const size_t unsent = full ? replies().ready().size() : 0;
  CountUnsent(unsent);
  is_full_ = unsent > (is_full_ ? sockets_.unsent_bytes_max_ / 4 : sockets_.unsent_bytes_max_);
  if (full != waits_to_send_) {
    waits_to_send_ = full;
    Watch();
  }
}

void ClientSocket::CountUnsent(size_t unsent) {
  sockets_.unsent_bytes_ += unsent - unsent_;
  unsent_ = unsent;
}

bool ClientSocket::SendSoon() {
  if (!is_dirty_) {
    sockets_.dirty_.push_back(this);
    is_dirty_ = true;
  }
  return port_.quiet;
}

void ClientSocket::Close() {
  if (fd_ < 0) return;
  replies().outlet = nullptr;
  CountUnsent(0);
  sockets_.Forget(this);
  close(fd_);
  fd_ = -1;
}

ClientSockets::ClientSockets(Engine& engine, CommandCounts& counts, size_t unsent_bytes_max)
    : engine_(engine),
      counts_(counts),
      unsent_bytes_max_(unsent_bytes_max),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      scratch_(kReceivedBytesMax) {
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
}

ClientSockets::~ClientSockets() { close(epoll_); }

std::vector<ClientSocket*> ClientSockets::Send() {
  std::vector<ClientSocket*> told;
  for (ClientSocket* socket : dirty_) {
    if (socket == nullptr) continue;
    const bool was_full = socket->is_full_;
    socket->is_dirty_ = false;
    socket->Send();
    if (socket->is_full_ != was_full || socket->is_drained()) told.push_back(socket);
  }
  dirty_.clear();
  return told;
}

bool ClientSockets::Wait() {
  next_event_ = events_count_ = 0;
  const int count = epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), 0);
  if (count > 0) events_count_ = static_cast<size_t>(count);
  return count > 0;
}

ClientSockets::Received ClientSockets::ReceiveFrom(ClientSocket& socket, std::string_view* bytes) {
  if (socket.failed_) return Received::kFailure;
  const ssize_t size = recv(socket.fd_, scratch_.data(), scratch_.size(), MSG_DONTWAIT);
  if (size > 0) {
    *bytes = {scratch_.data(), static_cast<size_t>(size)};
    return Received::kBytes;
  }
  if (size == 0) return Received::kEnd;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Received::kNothing : Received::kFailure;
}

void ClientSockets::Forget(ClientSocket* socket) {
  for (size_t i = next_event_; i < events_count_; ++i) {
    if (events_[i].data.ptr == socket) events_[i].data.ptr = nullptr;
  }
  std::replace(dirty_.begin(), dirty_.end(), socket, static_cast<ClientSocket*>(nullptr));
}

}  // namespace replicad
