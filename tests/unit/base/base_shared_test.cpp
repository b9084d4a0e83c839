// Containers whose copies share what does not change: each behaves as the standard one beside it, and so does each
// copy of any age.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "emu/base/random.hpp"
#include "emu/base/shared/shared_map.hpp"
#include "emu/base/shared/shared_vector.hpp"
#include "emu/base/types.hpp"

namespace forkscope {
namespace {

constexpr int kOperations = 30'000;
constexpr std::size_t kMostCopies = 8;

// Forwards, backwards, and all that a key can be asked.
void expect_equal(const SharedMap<u32, u64>& map, const std::map<u32, u64>& known, u32 key) {
    ASSERT_EQ(map.size(), known.size());
    ASSERT_EQ(map.empty(), known.empty());
    using Pairs = std::vector<std::pair<u32, u64>>;
    ASSERT_EQ(Pairs(map.begin(), map.end()), Pairs(known.begin(), known.end()));
    ASSERT_EQ(Pairs(map.rbegin(), map.rend()), Pairs(known.rbegin(), known.rend()));
    const auto same = [&](auto place, auto other) {
        ASSERT_EQ(place == map.end(), other == known.end());
        if (other != known.end()) {
            ASSERT_EQ(std::pair(place->first, place->second), std::pair(other->first, other->second));
        }
    };
    same(map.find(key), known.find(key));
    same(map.lower_bound(key), known.lower_bound(key));
    same(map.upper_bound(key), known.upper_bound(key));
    ASSERT_EQ(map.count(key), known.count(key));
}

TEST(SharedMap, AndItsCopiesBehaveAsStandardMaps) {
    for (const u32 keys : {3u, 40u, 700u, 100'000u}) {
        Random random(keys);
        SharedMap<u32, u64> map;
        std::map<u32, u64> known;
        std::deque<std::pair<SharedMap<u32, u64>, std::map<u32, u64>>> copies;
        bool shrinks = false;
        for (int i = 0; i < kOperations; ++i) {
            const auto key = static_cast<u32>(random.below(keys));
            const u64 value = random.next();
            switch (random.below(shrinks ? 10 : 5)) {
            case 0:
                map[key] = value;
                known[key] = value;
                break;
            case 1:
            case 2:
                ASSERT_EQ(map.emplace(key, value), known.emplace(key, value).second);
                break;
            case 3:
                if (known.count(key) != 0)
                    map.edit(key) = known.at(key) = value;
                else
                    ASSERT_THROW(map.edit(key), std::out_of_range);
                break;
            case 4:
                ASSERT_EQ(map.erase(key), known.erase(key));
                break;
            default:
                if (!known.empty()) {
                    const u32 first =
                        known.lower_bound(key) != known.end() ? known.lower_bound(key)->first : known.begin()->first;
                    ASSERT_EQ(map.erase(first), known.erase(first));
                }
            }
            if (random.below(2000) == 0)
                shrinks = !shrinks;
            if (random.below(100) == 0)
                copies.emplace_back(map, known);
            if (copies.size() > kMostCopies) {
                const auto [old_map, old_known] = copies.front();
                ASSERT_NO_FATAL_FAILURE(expect_equal(old_map, old_known, key));
                copies.pop_front();
                ASSERT_NO_FATAL_FAILURE(expect_equal(map, known, key));
            }
            if (random.below(5000) == 0 && !copies.empty())
                std::tie(map, known) = copies.front(); // back to a checkpoint
        }
    }
}

TEST(SharedMap, IsFilledInOrderAndEmptiedFromBothEnds) {
    SharedMap<u32, u64> map;
    for (u32 key = 0; key < 1000; ++key)
        ASSERT_TRUE(map.emplace(key, key));
    const SharedMap<u32, u64> all = map;
    for (u32 key = 0; key < 500; ++key) {
        ASSERT_EQ(map.begin()->first, key);
        ASSERT_EQ(map.rbegin()->first, 999 - key);
        ASSERT_EQ(map.erase(key), 1u);
        ASSERT_EQ(map.erase(999 - key), 1u);
    }
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.begin(), map.end());
    EXPECT_EQ(all.size(), 1000u);
    EXPECT_EQ(all.at(999), 999u);
    EXPECT_THROW(map.at(999), std::out_of_range);
}

// A value that counts how often it was copied.
struct Counted {
    static inline int copies = 0;
    Counted() = default;
    Counted(const Counted&) { ++copies; }
    Counted(Counted&&) = default;
    Counted& operator=(const Counted&) { return ++copies, *this; }
    Counted& operator=(Counted&&) = default;
};

TEST(SharedMap, CopiesNoMoreThanWhatChanges) {
    SharedMap<u32, Counted> map;
    for (u32 key = 0; key < 10'000; ++key)
        map[key];
    Counted::copies = 0;
    const SharedMap<u32, Counted> copy = map;
    EXPECT_EQ(Counted::copies, 0);
    map.edit(5'000);
    map.edit(5'000);
    EXPECT_LE(Counted::copies, 32);
    EXPECT_EQ(map.erase(9'000), 1u);
    EXPECT_LE(Counted::copies, 64);
}

TEST(SharedSet, KeepsItsCopiesApart) {
    Random random(1);
    SharedSet<std::pair<u32, u64>> set;
    std::set<std::pair<u32, u64>> known;
    for (int i = 0; i < kOperations; ++i) {
        const std::pair<u32, u64> key{static_cast<u32>(random.below(30)), random.below(30)};
        const auto before = set;
        const auto known_before = known;
        if (random.below(2) == 0) {
            ASSERT_EQ(set.insert(key), known.insert(key).second);
        } else {
            ASSERT_EQ(set.erase(key), known.erase(key));
        }
        if (i % 97 == 0) {
            ASSERT_TRUE(std::equal(before.begin(), before.end(), known_before.begin(), known_before.end()));
        }
        const auto first = set.lower_bound({key.first, 0});
        ASSERT_EQ(first == set.end(), known.lower_bound({key.first, 0}) == known.end());
    }
    EXPECT_TRUE(std::equal(set.begin(), set.end(), known.begin(), known.end()));
    EXPECT_EQ((SharedSet<std::pair<u32, u64>>(known.begin(), known.end()).size()), known.size());
}

TEST(SharedVector, AndItsCopiesBehaveAsStandardVectors) {
    Random random(2);
    SharedVector<u64> list;
    std::vector<u64> known;
    std::deque<std::pair<SharedVector<u64>, std::vector<u64>>> copies;
    for (int i = 0; i < kOperations; ++i) {
        const u64 value = random.next();
        const u64 what = random.below(1000);
        if (what == 0) {
            list.resize(static_cast<std::size_t>(value % 2000), value);
            known.resize(static_cast<std::size_t>(value % 2000), value);
        } else if (what < 600 || known.empty()) {
            list.push_back(value);
            known.push_back(value);
        } else {
            const auto at = static_cast<std::size_t>(random.below(known.size()));
            list.edit(at) = known[at] = value;
            list.edit_back() = known.back() = value + 1;
        }
        if (what % 50 == 0)
            copies.emplace_back(list, known);
        if (copies.size() <= kMostCopies)
            continue;
        const auto [old_list, old_known] = copies.front();
        ASSERT_EQ(old_list.to_vector(), old_known);
        ASSERT_EQ(list.size(), known.size());
        ASSERT_EQ(list.to_vector(), known);
        ASSERT_TRUE(std::equal(list.rbegin(), list.rend(), known.rbegin(), known.rend()));
        copies.pop_front();
    }
    EXPECT_THROW(list.at(list.size()), std::out_of_range);
    list.clear();
    EXPECT_TRUE(list.empty());
}

TEST(SharedContainers, AreEmptyOnceTheyHaveBeenMoved) {
    SharedVector<u64> list{1, 2, 3};
    SharedSet<u64> set(list.begin(), list.end());
    const SharedVector<u64> other_list = std::move(list);
    const SharedSet<u64> other_set = std::move(set);
    EXPECT_EQ(other_list.size(), 3u);
    EXPECT_EQ(other_set.size(), 3u);
    EXPECT_TRUE(list.empty() && list.begin() == list.end());
    EXPECT_TRUE(set.empty() && set.begin() == set.end());
}

TEST(CopyOnWrite, DefaultsShareNothingOnceOneIsChanged) {
    CopyOnWrite<std::vector<int>> one;
    const CopyOnWrite<std::vector<int>> other = one;
    EXPECT_TRUE(one.shares_with(other));
    one.edit().push_back(1);
    EXPECT_FALSE(one.shares_with(other));
    EXPECT_EQ(one->size(), 1u);
    EXPECT_TRUE(other->empty());
}

// --- What a copy takes beyond an earlier one

struct Named {
    std::string name;
    std::shared_ptr<const std::array<u64, 100>> big;
    auto held() const { return std::tie(name, big); }
};

TEST(Footprint, IsNothingForACopyAndOneLeafForAChange) {
    SharedMap<u32, std::array<u64, 4>> map;
    for (u32 key = 0; key < 10'000; ++key)
        map[key] = {key};
    const u64 whole = bytes_beyond(map, static_cast<decltype(&map)>(nullptr));
    EXPECT_GE(whole, map.size() * sizeof(std::pair<u32, std::array<u64, 4>>));
    EXPECT_LT(whole, 3 * map.size() * sizeof(std::pair<u32, std::array<u64, 4>>));
    const auto before = map;
    EXPECT_EQ(bytes_beyond(map, &before), 0u);
    map[5'000] = {1};
    const u64 change = bytes_beyond(map, &before);
    EXPECT_GT(change, 16 * sizeof(std::pair<u32, std::array<u64, 4>>));
    EXPECT_LT(change, whole / 20);

    SharedVector<u64> list;
    for (u64 i = 0; i < 10'000; ++i)
        list.push_back(i);
    const SharedVector<u64> shorter = list;
    EXPECT_EQ(bytes_beyond(list, &shorter), 0u);
    list.push_back(1);
    EXPECT_GT(bytes_beyond(list, &shorter), sizeof(u64));
    EXPECT_LT(bytes_beyond(list, &shorter), 8'000u);
}

TEST(Footprint, CountsOnceWhatTwoPointTo) {
    const auto big = std::make_shared<const std::array<u64, 100>>();
    SharedMap<u32, CopyOnWrite<Named>> map;
    map[1] = CopyOnWrite<Named>({"a name that is too long for the string itself", big});
    const u64 one = bytes_beyond(map, static_cast<decltype(&map)>(nullptr));
    EXPECT_GE(one, sizeof *big + sizeof(Named) + 45);
    const auto before = map;
    map[2] = CopyOnWrite<Named>({"", big});
    const u64 two = bytes_beyond(map, static_cast<decltype(&map)>(nullptr));
    EXPECT_GE(two, one + sizeof(Named));
    EXPECT_LT(two, one + sizeof *big);
    map[1].edit().name.clear(); // the pointer beside it leads where it led
    EXPECT_LT(bytes_beyond(map[1], &before.at(1)), sizeof *big);
}

} // namespace
} // namespace forkscope
