// Owns: who works for whom, as messages between processes show it.
// Callers: ProcessContext. Promises: whoever receives a message works for its sender, and for those that the sender
// works for, until it sends the answer or receives the next message; memory is bounded whatever the guest states.
#pragma once

#include <utility>
#include <vector>

#include "emu/base/archive.hpp"
#include "emu/base/shared/shared_map.hpp"

namespace forkscope {

class MessageWork {
  public:
    // Pid 0 is the kernel: it is told of things and asks for nothing.
    void delivered(u32 sender, u32 receiver);
    void notified(u32 sender, u32 receiver);
    // A process that was made while its maker waited for an answer: the first message that it receives is that answer.
    void started(u32 pid, u32 maker);
    void ended(u32 pid);

    // For whom the process works now, nearest first; empty: for itself.
    const std::vector<u32>& clients_of(u32 pid) const;
    void serialize(Archive& ar);
    auto held() const { return std::tie(workers_, servers_, newborn_); }

  private:
    // A request not answered yet, and for whom the client worked when it asked.
    struct Duty {
        u32 client = 0;
        std::vector<u32> clients;
        void serialize(Archive& ar);
        auto held() const { return std::tie(clients); }
    };
    struct Worker {
        std::vector<u32> clients;
        std::vector<Duty> duties;
        void serialize(Archive& ar);
        auto held() const { return std::tie(clients, duties); }
    };

    std::vector<u32> chain_from(u32 sender) const;
    bool waits(u32 pid) const;
    Worker& worker(u32 pid);
    void drop_duty(u32 server, Worker& worker, std::vector<Duty>::iterator duty);

    SharedMap<u32, CopyOnWrite<Worker>> workers_;
    SharedSet<std::pair<u32, u32>> servers_; // client, and who owes it an answer
    SharedSet<u32> newborn_;
};

} // namespace forkscope
