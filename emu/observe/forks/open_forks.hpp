// Owns: the forks in progress, and the system calls that may turn out to be forks: who is in them, who helps them.
// Callers: ForkTracer. Promises: a value; each question costs what it answers, however many are open; their number is
// bounded.
#pragma once

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "emu/base/shared/shared_map.hpp"
#include "emu/observe/faults/fault_archive.hpp"
#include "emu/observe/forks/fork_record.hpp"

namespace forkscope {

enum class OpenKind : u8 {
    Call,      // a system call: nobody has said yet what it is
    EndedCall, // that has returned, and may have been a fork
    Fork,      // stated by the guest
};

inline constexpr std::size_t kMostReturns = 64; // of many calls: the child has the registers of an early one

struct OpenFork {
    u64 id = 0; // in the order of their beginning
    OpenKind kind = OpenKind::Call;
    ForkRecord record; // until it is published
    u64 published = 0; // the record's number from then on
    ProcessContext::Key key = ProcessContext::kNobody;
    // Who stated the last stop, where nothing else says that it works for this fork.
    ProcessContext::Key helper = ProcessContext::kNobody;
    u32 pid = 0, child_pid = 0;             // as in the record
    u32 directory = 0, child_directory = 0; // as in the record
    RunTime begun;                          // since power-on
    SharedSet<u32> unflushed;               // write-protected pages of the parent whose translation may be cached
    SharedSet<u32> protects;                // user pages whose right to write was taken, on the parent's side
    SharedMap<u32, u64> were_large;         // frames of writable large pages, which have become tables, by page
    std::vector<u32> new_directories;       // that became known meanwhile
    std::set<u32> foreign;                  // other spaces' directories whose entries were written
    bool many_calls = false;                // several system calls have built the space
    std::set<u32> returns;                  // where the calls return to: a copy of the caller goes on at one of them
    u32 pending_child = 0;                  // looks like a copy of the caller; where its program begins will tell
    u32 pending_eip = 0;                    // there, where nobody knows yet where the call returns to
    // What fork left both with is in the record already, of this child; it shares pages for copying.
    u32 kept_child = 0;
    bool kept_shares = false;
    bool looked_at = false; // the caller began to lose pages
    u64 maker_ended = 0;    // instructions then; 0: it lives, as far as it shows

    auto held() const { return std::tie(record, unflushed, protects, were_large, new_directories, foreign, returns); }
    // By its entries, or because its directory became known meanwhile.
    bool built(u32 space) const {
        return foreign.count(space) != 0 ||
               std::find(new_directories.begin(), new_directories.end(), space) != new_directories.end();
    }
};

class OpenForks {
  public:
    using Key = ProcessContext::Key;
    static constexpr u64 kNone = 0;

    OpenForks() = default;

    // Returns its id.
    u64 add(OpenFork fork);
    void remove(u64 id);
    // A system call turns out to be a fork, the last that began; or returns.
    u64 make_fork(u64 call, u32 pid);
    void end_call(u64 call);
    // Who made it has ended, and its space may be another's.
    void orphan(u64 call, u64 instructions);
    void set_helper(u64 id, Key helper);
    void set_child(u64 id, u32 pid, u32 directory);
    // Another space's entries were written; a directory became known meanwhile.
    void built(u64 id, u32 directory);
    void found(u64 id, u32 directory);
    // What calls built is another space's.
    void rename(u32 directory, u32 name);
    // A space that looks like a copy is loaded; 0: it was none.
    void set_pending(u64 id, u32 child);
    // Those that wait for a space's program to begin.
    std::vector<u64> pending_on(u32 child) const;
    // Pages that await their flush. A load of another space's directory flushes what others await.
    void await_flush(u64 id, u32 page);
    void flushed(u64 id, u32 page);
    void flushed_all(u64 id);
    void flushed_elsewhere(u32 loaded_directory);

    const OpenFork& at(u64 id) const { return *all_.at(id); }
    OpenFork& edit(u64 id) { return all_.edit(id).edit(); }
    bool is_open(u64 id) const { return all_.count(id) != 0; }
    // The oldest of a kind where there are more than are kept: whoever began first is the likeliest never to end.
    u64 surplus(OpenKind kind) const;

    // The oldest of those it fits; kNone: there is none.
    u64 fork_of(Key key) const;
    u64 call_of(Key key) const;
    u64 call_of_pid(u32 pid) const;
    // Changes whenever the answers to the questions above and below may.
    u64 changes() const { return changes_; }
    // By id, that is by age.
    std::vector<u64> forks_of_pid(u32 pid) const { return range(by_pid_, pid); }
    std::vector<u64> forks_of_directory(u32 directory) const { return range(by_directory_, directory); }
    std::vector<u64> forks_with_child(u32 directory) const { return range(by_child_, directory); }
    std::vector<u64> calls_of_pid(u32 pid) const { return range(calls_by_pid_, pid); }
    // The newest call that built the space: by its entries, or because its directory became known meanwhile.
    u64 builder_of(u32 directory) const;
    // Calls that have returned, by the space that they returned to.
    std::vector<u64> ended_in(u32 directory) const { return range(ended_, directory); }
    const SharedSet<u64>& of_kind(OpenKind kind) const { return by_kind_[static_cast<std::size_t>(kind)]; }

    void serialize(Archive& ar, const FaultPool& faults);
    void collect(FaultPool& faults) const;
    auto held() const {
        return std::tie(all_, by_kind_, by_key_, by_pid_, by_directory_, by_child_, calls_, calls_by_pid_, builders_,
                        ended_, unflushed_, pending_);
    }

  private:
    explicit OpenForks(u64 ids) : ids_(ids) {}

    template <class K> using Index = SharedSet<std::pair<K, u64>>;
    template <class K> static std::vector<u64> range(const Index<K>& index, K key);
    template <class Act> void each_index(const OpenFork& fork, Act act);
    void index(const OpenFork& fork);
    void unindex(const OpenFork& fork);

    u64 ids_ = 0;
    SharedMap<u64, CopyOnWrite<OpenFork>> all_;
    // Derived.
    u64 changes_ = 0;
    std::array<SharedSet<u64>, 3> by_kind_;
    Index<Key> by_key_;                           // forks, by key and by helper
    Index<u32> by_pid_, by_directory_, by_child_; // forks
    SharedMap<Key, u64> calls_;
    Index<u32> calls_by_pid_, builders_, ended_;
    SharedSet<u64> unflushed_, pending_;
};

} // namespace forkscope
