#include "emu/observe/forks/open_forks.hpp"

#include <algorithm>

#include "emu/base/archive/containers.hpp"
#include "emu/observe/forks/fork_archive.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostForks = 1024;
constexpr std::size_t kMostCalls = 1024;
constexpr std::size_t kMostEndedCalls = 32;

} // namespace

template <class K> std::vector<u64> OpenForks::range(const Index<K>& index, K key) {
    std::vector<u64> ids;
    for (auto place = index.lower_bound({key, 0}); place != index.end() && place->first == key; ++place)
        ids.push_back(place->second);
    return ids;
}
template std::vector<u64> OpenForks::range(const Index<u32>&, u32);

// Each index that the fork stands in, with its key there; but for `calls_`, where a later call takes an older one's
// place.
template <class Act> void OpenForks::each_index(const OpenFork& fork, Act act) {
    act(by_kind_[static_cast<std::size_t>(fork.kind)], fork.id);
    if (!fork.unflushed.empty())
        act(unflushed_, fork.id);
    if (fork.pending_child != 0)
        act(pending_, fork.id);
    if (fork.kind != OpenKind::Fork) {
        for (const u32 directory : fork.foreign)
            act(builders_, std::pair{directory, fork.id});
        for (const u32 directory : fork.new_directories)
            act(builders_, std::pair{directory, fork.id});
    }
    if (fork.kind == OpenKind::Call) {
        act(calls_by_pid_, std::pair{fork.pid, fork.id});
    } else if (fork.kind == OpenKind::EndedCall) {
        if (fork.maker_ended == 0)
            act(ended_, std::pair{fork.directory, fork.id});
    } else {
        for (const Key key : {fork.key, fork.helper})
            if (key != ProcessContext::kNobody)
                act(by_key_, std::pair{key, fork.id});
        act(by_pid_, std::pair{fork.pid, fork.id});
        act(by_directory_, std::pair{fork.directory, fork.id});
        act(by_child_, std::pair{fork.child_directory, fork.id});
    }
}

void OpenForks::index(const OpenFork& fork) {
    ++changes_;
    each_index(fork, [](auto& index, const auto& key) { index.insert(key); });
    if (fork.kind == OpenKind::Call)
        calls_[fork.key] = fork.id;
}

void OpenForks::unindex(const OpenFork& fork) {
    ++changes_;
    each_index(fork, [](auto& index, const auto& key) { index.erase(key); });
    if (fork.kind != OpenKind::Call)
        return;
    if (const auto call = calls_.find(fork.key); call != calls_.end() && call->second == fork.id)
        calls_.erase(fork.key);
}

u64 OpenForks::add(OpenFork fork) {
    const u64 id = ++ids_;
    fork.id = id;
    index(fork);
    all_.emplace(id, CopyOnWrite<OpenFork>(std::move(fork)));
    return id;
}

void OpenForks::remove(u64 id) {
    unindex(at(id));
    all_.erase(id);
}

u64 OpenForks::make_fork(u64 call, u32 pid) {
    OpenFork fork = std::move(edit(call));
    unindex(fork);
    all_.erase(call);
    fork.kind = OpenKind::Fork;
    fork.pid = pid;
    return add(std::move(fork));
}

void OpenForks::end_call(u64 call) {
    OpenFork& ended = edit(call);
    unindex(ended);
    ended.kind = OpenKind::EndedCall;
    index(ended);
}

void OpenForks::orphan(u64 call, u64 instructions) {
    OpenFork& fork = edit(call);
    unindex(fork);
    fork.key = ProcessContext::kNobody;
    fork.maker_ended = instructions;
    index(fork);
}

void OpenForks::set_helper(u64 id, Key helper) {
    if (at(id).helper == helper)
        return;
    OpenFork& fork = edit(id);
    unindex(fork);
    fork.helper = helper;
    index(fork);
}

void OpenForks::set_child(u64 id, u32 pid, u32 directory) {
    OpenFork& fork = edit(id);
    unindex(fork);
    fork.child_pid = pid != 0 ? pid : fork.child_pid;
    fork.child_directory = directory != 0 ? directory : fork.child_directory;
    index(fork);
}

void OpenForks::built(u64 id, u32 directory) {
    if (at(id).foreign.count(directory) != 0)
        return;
    edit(id).foreign.insert(directory);
    if (at(id).kind != OpenKind::Fork)
        builders_.insert({directory, id});
}

void OpenForks::found(u64 id, u32 directory) {
    edit(id).new_directories.push_back(directory);
    if (at(id).kind != OpenKind::Fork)
        builders_.insert({directory, id});
}

void OpenForks::rename(u32 directory, u32 name) {
    for (const u64 id : range(builders_, directory)) {
        OpenFork& fork = edit(id);
        unindex(fork);
        if (fork.foreign.erase(directory) != 0)
            fork.foreign.insert(name);
        std::replace(fork.new_directories.begin(), fork.new_directories.end(), directory, name);
        for (std::size_t at = 0; at < fork.record.ptes.size(); ++at)
            if (fork.record.ptes[at].directory == directory)
                fork.record.ptes.edit(at).directory = name;
        index(fork);
    }
}

void OpenForks::set_pending(u64 id, u32 child) {
    edit(id).pending_child = child;
    edit(id).pending_eip = 0;
    if (child != 0)
        pending_.insert(id);
    else
        pending_.erase(id);
}

std::vector<u64> OpenForks::pending_on(u32 child) const {
    std::vector<u64> ids(pending_.begin(), pending_.end());
    std::erase_if(ids, [&](u64 id) { return at(id).pending_child != child; });
    return ids;
}

u64 OpenForks::builder_of(u32 directory) const {
    const auto after = builders_.upper_bound({directory, ~u64{0}});
    return after != builders_.begin() && std::prev(after)->first == directory ? std::prev(after)->second : kNone;
}

void OpenForks::await_flush(u64 id, u32 page) {
    edit(id).unflushed.insert(page);
    unflushed_.insert(id);
}

void OpenForks::flushed(u64 id, u32 page) {
    if (at(id).unflushed.count(page) == 0)
        return;
    edit(id).unflushed.erase(page);
    if (at(id).unflushed.empty())
        unflushed_.erase(id);
}

void OpenForks::flushed_all(u64 id) {
    if (unflushed_.erase(id) != 0)
        edit(id).unflushed.clear();
}

void OpenForks::flushed_elsewhere(u32 loaded_directory) {
    for (const u64 id : std::vector<u64>(unflushed_.begin(), unflushed_.end()))
        if (at(id).directory != loaded_directory && at(id).kind != OpenKind::EndedCall)
            flushed_all(id);
}

u64 OpenForks::surplus(OpenKind kind) const {
    constexpr std::size_t kMost[] = {kMostCalls, kMostEndedCalls, kMostForks};
    const SharedSet<u64>& ids = of_kind(kind);
    return ids.size() > kMost[static_cast<std::size_t>(kind)] ? *ids.begin() : kNone;
}

u64 OpenForks::fork_of(Key key) const {
    const auto found = by_key_.lower_bound({key, 0});
    return found != by_key_.end() && found->first == key ? found->second : kNone;
}

u64 OpenForks::call_of(Key key) const {
    const auto found = calls_.find(key);
    return found == calls_.end() ? kNone : found->second;
}

u64 OpenForks::call_of_pid(u32 pid) const {
    const auto found = calls_by_pid_.lower_bound({pid, 0});
    return found != calls_by_pid_.end() && found->first == pid ? found->second : kNone;
}

void OpenForks::collect(FaultPool& faults) const {
    for (const auto& [id, fork] : all_)
        collect_faults(fork->record, faults);
}

void OpenForks::serialize(Archive& ar, const FaultPool& faults) {
    ar.field("ids", ids_);
    std::vector<u64> ids;
    for (const auto& [id, fork] : all_)
        ids.push_back(id);
    ar.sequence("open", ids, kMostForks + kMostCalls + kMostEndedCalls + 3);
    if (ar.loading())
        *this = OpenForks(ids_);
    for (const u64 id : ids) {
        OpenFork fork = ar.loading() ? OpenFork{} : at(id);
        fork.id = id;
        archive_open_fork(ar, fork, faults);
        if (!ar.good())
            return;
        if (!ar.loading())
            continue;
        index(fork);
        ids_ = std::max(ids_, id);
        all_.emplace(id, CopyOnWrite<OpenFork>(std::move(fork)));
    }
}

} // namespace forkscope
