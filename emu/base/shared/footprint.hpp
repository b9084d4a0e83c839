// Owns: Footprint, which counts the memory that a value holds and an earlier copy of it does not.
// Callers: checkpoints, which keep copies of observers' states; a class that holds memory names those members in
// `auto held() const`. Promises: what both share is not looked into; exact but for the allocator's own bytes.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "emu/base/types.hpp"

namespace forkscope {

class Footprint {
  public:
    // A value of this type holds no memory beside itself.
    template <class T> struct HoldsNothing : std::is_trivially_copyable<T> {};

    void add(u64 bytes) { bytes_ += bytes; }
    void add_shared(u64 bytes) { add(bytes + kCounts + kAllocation); }
    void add_array(u64 bytes) { add(bytes != 0 ? bytes + kAllocation : 0); }
    // `before`: the same value earlier, in memory already counted; or null.
    template <class T> void add(const T& now, const T* before) {
        if constexpr (HoldsNothing<T>::value)
            return;
        else if constexpr (requires { now.add_beyond(*this, before); })
            now.add_beyond(*this, before);
        else
            add_members(now.held(), before, std::make_index_sequence<std::tuple_size_v<decltype(now.held())>>());
    }
    void add(const std::string& now, const std::string*) {
        if (now.capacity() > std::string().capacity())
            add(now.capacity() + 1 + kAllocation);
    }
    template <class T> void add(const std::vector<T>& now, const std::vector<T>* before) {
        add_array(now.capacity() * sizeof(T));
        if constexpr (!HoldsNothing<T>::value)
            for (std::size_t i = 0; i < now.size(); ++i)
                add(now[i], before != nullptr && i < before->size() ? &(*before)[i] : nullptr);
    }
    template <class T, std::size_t N> void add(const std::array<T, N>& now, const std::array<T, N>* before) {
        if constexpr (!HoldsNothing<T>::value)
            for (std::size_t i = 0; i < N; ++i)
                add(now[i], before != nullptr ? &(*before)[i] : nullptr);
    }
    template <class A, class B> void add(const std::pair<A, B>& now, const std::pair<A, B>* before) {
        if constexpr (!HoldsNothing<A>::value)
            add(now.first, before != nullptr ? &before->first : nullptr);
        if constexpr (!HoldsNothing<B>::value)
            add(now.second, before != nullptr ? &before->second : nullptr);
    }
    template <class T> void add(const std::set<T>& now, const std::set<T>*) {
        static_assert(HoldsNothing<T>::value);
        add(now.size() * (sizeof(T) + kTreeNode));
    }
    template <class K, class V> void add(const std::map<K, V>& now, const std::map<K, V>*) {
        for (const auto& element : now) {
            add(sizeof element + kTreeNode);
            add(element, static_cast<decltype(&element)>(nullptr));
        }
    }
    // Whatever else points there: it is counted once.
    template <class T> void add(const std::shared_ptr<T>& now, const std::shared_ptr<T>* before) {
        if (now == nullptr || (before != nullptr && *before == now))
            return;
        Footprint behind;
        behind.add_shared(sizeof(T));
        if constexpr (!HoldsNothing<std::remove_const_t<T>>::value)
            behind.add(*now, static_cast<const T*>(nullptr));
        pointed_.emplace_back(now.get(), behind.bytes());
    }

    u64 bytes() {
        std::sort(pointed_.begin(), pointed_.end());
        pointed_.erase(std::unique(pointed_.begin(), pointed_.end()), pointed_.end());
        u64 all = bytes_;
        for (const auto& [place, bytes] : pointed_)
            all += bytes;
        return all;
    }

  private:
    static constexpr u64 kAllocation = 16; // of the allocator, for each piece
    static constexpr u64 kCounts = 16;     // of std::shared_ptr
    static constexpr u64 kTreeNode = 32 + kAllocation;

    template <class Members, class T, std::size_t... I>
    void add_members(const Members& now, const T* before, std::index_sequence<I...>) {
        if (before != nullptr) {
            const auto were = before->held();
            (add(std::get<I>(now), &std::get<I>(were)), ...);
        } else {
            (add(std::get<I>(now), static_cast<decltype(&std::get<I>(now))>(nullptr)), ...);
        }
    }

    u64 bytes_ = 0;
    std::vector<std::pair<const void*, u64>> pointed_;
};

template <class A, class B>
struct Footprint::HoldsNothing<std::pair<A, B>>
    : std::conjunction<Footprint::HoldsNothing<A>, Footprint::HoldsNothing<B>> {};

// A copy's own bytes are its holder's.
template <class T> u64 bytes_beyond(const T& now, const T* before) {
    Footprint footprint;
    footprint.add(now, before);
    return footprint.bytes();
}

} // namespace forkscope
