#include "emu/observe/processes/message_work.hpp"

#include <algorithm>

namespace forkscope {

namespace {

constexpr std::size_t kDeepest = 8; // servers that ask servers
constexpr std::size_t kMostDuties = 256;
constexpr std::size_t kMostWorkers = 4096;

} // namespace

std::vector<u32> MessageWork::chain_from(u32 sender) const {
    std::vector<u32> chain{sender};
    for (const u32 client : clients_of(sender))
        if (chain.size() < kDeepest && std::find(chain.begin(), chain.end(), client) == chain.end())
            chain.push_back(client);
    return chain;
}

void MessageWork::delivered(u32 sender, u32 receiver) {
    if (receiver == 0)
        return;
    if (sender == 0)
        return notified(sender, receiver);
    newborn_.erase(sender);
    Worker& from = workers_[sender];
    const auto duty = std::find_if(from.duties.begin(), from.duties.end(),
                                   [receiver](const Duty& one) { return one.client == receiver; });
    if (duty != from.duties.end()) {
        // The answer: the client goes on with what it did when it asked, whatever else it has begun meanwhile.
        if (!from.clients.empty() && from.clients.front() == receiver)
            from.clients.clear();
        std::vector<u32> clients = std::move(duty->clients);
        from.duties.erase(duty);
        workers_[receiver].clients = std::move(clients);
        return;
    }
    if (newborn_.erase(receiver) != 0)
        return;
    std::vector<u32> clients = from.clients;
    std::vector<u32> chain = chain_from(sender);
    if (workers_.size() > kMostWorkers)
        workers_.clear();
    Worker& to = workers_[receiver];
    std::erase_if(to.duties, [sender](const Duty& one) { return one.client == sender; });
    if (to.duties.size() >= kMostDuties)
        to.duties.erase(to.duties.begin());
    to.duties.push_back({sender, std::move(clients)});
    to.clients = std::move(chain);
}

void MessageWork::notified(u32 sender, u32 receiver) {
    if (receiver == 0)
        return;
    std::vector<u32> chain = sender != 0 ? chain_from(sender) : std::vector<u32>{};
    if (workers_.size() > kMostWorkers)
        workers_.clear();
    workers_[receiver].clients = std::move(chain);
}

bool MessageWork::waits(u32 pid) const {
    return std::any_of(workers_.begin(), workers_.end(), [pid](const auto& worker) {
        return std::any_of(worker.second.duties.begin(), worker.second.duties.end(),
                           [pid](const Duty& duty) { return duty.client == pid; });
    });
}

void MessageWork::started(u32 pid, u32 maker) {
    ended(pid);
    if (pid != 0 && waits(maker) && newborn_.size() < kMostWorkers)
        newborn_.insert(pid);
}

void MessageWork::ended(u32 pid) {
    newborn_.erase(pid);
    workers_.erase(pid);
    for (auto& [server, worker] : workers_)
        std::erase_if(worker.duties, [pid](const Duty& duty) { return duty.client == pid; });
}

const std::vector<u32>& MessageWork::clients_of(u32 pid) const {
    static const std::vector<u32> none;
    const auto found = workers_.find(pid);
    return found == workers_.end() ? none : found->second.clients;
}

} // namespace forkscope
