#include "emu/observe/processes/message_work.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"

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

MessageWork::Worker& MessageWork::worker(u32 pid) {
    if (workers_.size() > kMostWorkers) {
        workers_.clear();
        servers_.clear();
    }
    return workers_[pid].edit();
}

void MessageWork::drop_duty(u32 server, Worker& worker, std::vector<Duty>::iterator duty) {
    servers_.erase({duty->client, server});
    worker.duties.erase(duty);
}

void MessageWork::delivered(u32 sender, u32 receiver) {
    if (receiver == 0)
        return;
    if (sender == 0)
        return notified(sender, receiver);
    newborn_.erase(sender);
    Worker& from = worker(sender);
    const auto duty_to = [](Worker& of, u32 client) {
        return std::find_if(of.duties.begin(), of.duties.end(),
                            [client](const Duty& one) { return one.client == client; });
    };
    if (const auto duty = duty_to(from, receiver); duty != from.duties.end()) {
        // The answer: the client goes on with what it did when it asked, whatever else it has begun meanwhile.
        if (!from.clients.empty() && from.clients.front() == receiver)
            from.clients.clear();
        std::vector<u32> clients = std::move(duty->clients);
        drop_duty(sender, from, duty);
        workers_[receiver].edit().clients = std::move(clients);
        return;
    }
    if (newborn_.erase(receiver) != 0)
        return;
    std::vector<u32> clients = from.clients;
    std::vector<u32> chain = chain_from(sender);
    Worker& to = worker(receiver);
    if (const auto asked = duty_to(to, sender); asked != to.duties.end())
        drop_duty(receiver, to, asked);
    if (to.duties.size() >= kMostDuties)
        drop_duty(receiver, to, to.duties.begin());
    to.duties.push_back({sender, std::move(clients)});
    servers_.insert({sender, receiver});
    to.clients = std::move(chain);
}

void MessageWork::notified(u32 sender, u32 receiver) {
    if (receiver == 0)
        return;
    std::vector<u32> chain = sender != 0 ? chain_from(sender) : std::vector<u32>{};
    worker(receiver).clients = std::move(chain);
}

bool MessageWork::waits(u32 pid) const {
    const auto owing = servers_.lower_bound({pid, 0});
    return owing != servers_.end() && owing->first == pid;
}

void MessageWork::started(u32 pid, u32 maker) {
    ended(pid);
    if (pid != 0 && waits(maker) && newborn_.size() < kMostWorkers)
        newborn_.insert(pid);
}

void MessageWork::ended(u32 pid) {
    newborn_.erase(pid);
    if (const auto found = workers_.find(pid); found != workers_.end()) {
        for (const Duty& duty : found->second->duties)
            servers_.erase({duty.client, pid});
        workers_.erase(pid);
    }
    while (waits(pid)) {
        const u32 server = servers_.lower_bound({pid, 0})->second;
        std::erase_if(workers_[server].edit().duties, [pid](const Duty& duty) { return duty.client == pid; });
        servers_.erase({pid, server});
    }
}

const std::vector<u32>& MessageWork::clients_of(u32 pid) const {
    static const std::vector<u32> none;
    const auto found = workers_.find(pid);
    return found == workers_.end() ? none : found->second->clients;
}

void MessageWork::Duty::serialize(Archive& ar) {
    ar.field("client", client);
    ar.sequence("clients", clients, kDeepest);
}

void MessageWork::Worker::serialize(Archive& ar) {
    ar.sequence("clients", clients, kDeepest);
    ar.sequence("duties", duties, kMostDuties);
}

void MessageWork::serialize(Archive& ar) {
    archive_map(ar, "workers", workers_, 2 * kMostWorkers,
                [&](CopyOnWrite<Worker>& worker) { archive_value(ar, "value", worker.edit()); });
    archive_set(ar, "newborn", newborn_, kMostWorkers);
    if (!ar.loading())
        return;
    servers_.clear();
    for (const auto& [pid, worker] : workers_)
        for (const Duty& duty : worker->duties)
            servers_.insert({duty.client, pid});
}

} // namespace forkscope
