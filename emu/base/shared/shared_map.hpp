// Owns: SharedMap and SharedSet, ordered containers whose copies share all that has not changed since.
// Callers: observers whose whole state is copied at each checkpoint. Promises: a copy costs the same however much it
// holds, and a change after it copies a leaf and the references to the others; reading is that of std::map and
// std::set; iterators and addresses stay good until the next change. One thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "emu/base/shared/copy_on_write.hpp"

namespace forkscope {

// What both have in common: a list of leaves, each a sorted list of elements, none of them empty.
template <class Element, class Key, class KeyOf> class SharedTree {
  protected:
    static constexpr std::size_t kMost = 32; // elements of a leaf
    using Leaf = std::vector<Element>;
    struct Leaves {
        std::vector<CopyOnWrite<Leaf>> all;
        std::vector<Key> last; // of each leaf: a search looks into one leaf only

        std::size_t size() const { return all.size(); }
        const Leaf& operator[](std::size_t leaf) const { return *all[leaf]; }
        Leaf& edit(std::size_t leaf) { return all[leaf].edit(); }
        void insert(std::size_t place, Leaf leaf) {
            const auto by = static_cast<std::ptrdiff_t>(place);
            last.insert(last.begin() + by, KeyOf()(leaf.back()));
            all.insert(all.begin() + by, CopyOnWrite<Leaf>(std::move(leaf)));
        }
        void erase(std::size_t place) {
            const auto by = static_cast<std::ptrdiff_t>(place);
            last.erase(last.begin() + by);
            all.erase(all.begin() + by);
        }
        void end_changed(std::size_t leaf) { last[leaf] = KeyOf()((*this)[leaf].back()); }
    };

  public:
    using key_type = Key;
    using value_type = Element;

    class const_iterator {
      public:
        using iterator_category = std::bidirectional_iterator_tag;
        using value_type = Element;
        using difference_type = std::ptrdiff_t;
        using pointer = const Element*;
        using reference = const Element&;
        const_iterator() = default;
        reference operator*() const { return (*leaves_)[leaf_][at_]; }
        pointer operator->() const { return &**this; }
        const_iterator& operator++() {
            if (++at_ == (*leaves_)[leaf_].size())
                ++leaf_, at_ = 0;
            return *this;
        }
        const_iterator& operator--() {
            if (at_-- == 0)
                at_ = (*leaves_)[--leaf_].size() - 1;
            return *this;
        }
        const_iterator operator++(int) { return std::exchange(*this, std::next(*this)); }
        const_iterator operator--(int) { return std::exchange(*this, std::prev(*this)); }
        bool operator==(const const_iterator& other) const { return leaf_ == other.leaf_ && at_ == other.at_; }

      private:
        friend SharedTree;
        const_iterator(const Leaves& leaves, std::size_t leaf, std::size_t at)
            : leaves_(&leaves), leaf_(leaf), at_(at) {}
        const Leaves* leaves_ = nullptr;
        std::size_t leaf_ = 0, at_ = 0;
    };
    using iterator = const_iterator;

    SharedTree() = default;
    SharedTree(const SharedTree&) = default;
    SharedTree(SharedTree&& other) noexcept : leaves_(std::move(other.leaves_)), size_(std::exchange(other.size_, 0)) {}
    SharedTree& operator=(SharedTree other) noexcept {
        std::swap(leaves_, other.leaves_);
        std::swap(size_, other.size_);
        return *this;
    }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const_iterator begin() const { return {*leaves_, 0, 0}; }
    const_iterator end() const { return {*leaves_, leaves_->size(), 0}; }
    auto rbegin() const { return std::make_reverse_iterator(end()); }
    auto rend() const { return std::make_reverse_iterator(begin()); }

    const_iterator lower_bound(const Key& key) const {
        const Leaves& leaves = *leaves_;
        // The same element is often asked for several times running.
        if (last_leaf_ < leaves.size() && last_at_ < leaves[last_leaf_].size()) {
            const Key& last = KeyOf()(leaves[last_leaf_][last_at_]);
            if (!(last < key) && !(key < last))
                return {leaves, last_leaf_, last_at_};
        }
        last_leaf_ = first_not(leaves.size(), [&](std::size_t leaf) { return leaves.last[leaf] < key; });
        last_at_ = last_leaf_ == leaves.size() ? 0 : place_in(leaves[last_leaf_], key);
        return {leaves, last_leaf_, last_at_};
    }
    const_iterator upper_bound(const Key& key) const {
        const const_iterator at = lower_bound(key);
        return is_at(at, key) ? std::next(at) : at;
    }
    const_iterator find(const Key& key) const {
        const const_iterator at = lower_bound(key);
        return is_at(at, key) ? at : end();
    }
    std::size_t count(const Key& key) const { return is_at(lower_bound(key), key) ? 1 : 0; }

    std::size_t erase(const Key& key) {
        const const_iterator at = lower_bound(key);
        if (!is_at(at, key))
            return 0;
        Leaves& leaves = leaves_.edit();
        if (leaves[at.leaf_].size() == 1) {
            leaves.erase(at.leaf_);
        } else {
            Leaf& leaf = leaves.edit(at.leaf_);
            leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(at.at_));
            leaves.end_changed(at.leaf_);
            join(leaves, at.leaf_);
        }
        --size_;
        return 1;
    }
    void clear() {
        leaves_ = {};
        size_ = 0;
    }
    void add_beyond(Footprint& footprint, const SharedTree* before) const {
        if (empty() || (before != nullptr && leaves_.shares_with(before->leaves_)))
            return;
        footprint.add_shared(sizeof(Leaves));
        footprint.add_array(leaves_->all.capacity() * sizeof(CopyOnWrite<Leaf>));
        footprint.add_array(leaves_->last.capacity() * sizeof(Key));
        for (const CopyOnWrite<Leaf>& leaf : leaves_->all) {
            if (before != nullptr && before->has_leaf(leaf))
                continue;
            footprint.add_shared(sizeof(Leaf));
            footprint.add_array(leaf->capacity() * sizeof(Element));
            if constexpr (!Footprint::HoldsNothing<Element>::value)
                for (const Element& element : *leaf)
                    footprint.add(element, before != nullptr ? before->element(KeyOf()(element)) : nullptr);
        }
    }

  protected:
    bool is_at(const const_iterator& at, const Key& key) const { return at != end() && !(key < KeyOf()(*at)); }
    Element& edit(const const_iterator& at) { return leaves_.edit().edit(at.leaf_)[at.at_]; }
    // Before `at`, which is where its key belongs.
    const_iterator insert_at(const const_iterator& at, Element element) {
        Leaves& leaves = leaves_.edit();
        std::size_t number = at.leaf_;
        std::size_t place = at.at_;
        // Behind all others, where most that grow do so.
        if (number == leaves.size() && number != 0 && leaves[number - 1].size() < kMost)
            place = leaves[--number].size();
        else if (number != leaves.size() && leaves[number].size() == kMost)
            split(leaves, number, place);
        if (number == leaves.size()) {
            Leaf fresh;
            fresh.push_back(std::move(element));
            leaves.insert(number, std::move(fresh));
        } else {
            Leaf& leaf = leaves.edit(number);
            leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(place), std::move(element));
            leaves.end_changed(number);
        }
        ++size_;
        return {leaves, number, place};
    }

  private:
    bool has_leaf(const CopyOnWrite<Leaf>& leaf) const {
        const const_iterator at = lower_bound(KeyOf()(leaf->front()));
        return at != end() && leaves_->all[at.leaf_].shares_with(leaf);
    }
    const Element* element(const Key& key) const {
        const const_iterator at = lower_bound(key);
        return is_at(at, key) ? &*at : nullptr;
    }
    static std::size_t place_in(const Leaf& leaf, const Key& key) {
        return first_not(leaf.size(), [&](std::size_t at) { return KeyOf()(leaf[at]) < key; });
    }
    // How many of `count` are below, which come first. Each step is an addition, not a branch: nobody can foretell it.
    template <class Below> static std::size_t first_not(std::size_t count, Below below) {
        std::size_t at = 0;
        while (count > 1) {
            const std::size_t half = count / 2;
            at += half & (std::size_t{0} - static_cast<std::size_t>(below(at + half - 1)));
            count -= half;
        }
        return at + (count == 1 && below(at) ? 1 : 0);
    }
    static void split(Leaves& leaves, std::size_t& number, std::size_t& place) {
        Leaf& low = leaves.edit(number);
        const auto middle = low.begin() + static_cast<std::ptrdiff_t>(kMost / 2);
        Leaf high(std::make_move_iterator(middle), std::make_move_iterator(low.end()));
        low.erase(middle, low.end());
        leaves.end_changed(number);
        leaves.insert(number + 1, std::move(high));
        if (place > kMost / 2)
            ++number, place -= kMost / 2;
    }
    // Small neighbours become one leaf, so that the number of leaves follows that of elements.
    static void join(Leaves& leaves, std::size_t number) {
        if (number + 1 == leaves.size() && number != 0)
            --number;
        if (number + 1 >= leaves.size() || leaves[number].size() + leaves[number + 1].size() > kMost / 2)
            return;
        const Leaf& next = leaves[number + 1];
        Leaf& leaf = leaves.edit(number);
        leaf.insert(leaf.end(), next.begin(), next.end());
        leaves.end_changed(number);
        leaves.erase(number + 1);
    }

    CopyOnWrite<Leaves> leaves_;
    std::size_t size_ = 0;
    mutable std::size_t last_leaf_ = 0, last_at_ = 0; // what lower_bound said last; nothing may be there any more
};

struct FirstOfPair {
    template <class Pair> const auto& operator()(const Pair& pair) const { return pair.first; }
};
struct WholeElement {
    template <class Key> const Key& operator()(const Key& key) const { return key; }
};

template <class Key, class Value> class SharedMap : public SharedTree<std::pair<Key, Value>, Key, FirstOfPair> {
    using Base = SharedTree<std::pair<Key, Value>, Key, FirstOfPair>;

  public:
    using mapped_type = Value;
    using typename Base::const_iterator;

    const Value& at(const Key& key) const {
        const const_iterator place = Base::lower_bound(key);
        if (!Base::is_at(place, key))
            throw std::out_of_range("SharedMap");
        return place->second;
    }
    // Of a key that is there; to be changed.
    Value& edit(const Key& key) {
        const const_iterator place = Base::lower_bound(key);
        if (!Base::is_at(place, key))
            throw std::out_of_range("SharedMap");
        return Base::edit(place).second;
    }
    // To be changed; what is missing is made.
    Value& operator[](const Key& key) {
        const const_iterator place = Base::lower_bound(key);
        return Base::edit(Base::is_at(place, key) ? place : Base::insert_at(place, {key, Value()})).second;
    }
    // False: the key was there, and keeps its value.
    bool emplace(const Key& key, Value value) {
        const const_iterator place = Base::lower_bound(key);
        if (Base::is_at(place, key))
            return false;
        Base::insert_at(place, {key, std::move(value)});
        return true;
    }
};

template <class Key> class SharedSet : public SharedTree<Key, Key, WholeElement> {
    using Base = SharedTree<Key, Key, WholeElement>;

  public:
    SharedSet() = default;
    template <class Iterator> SharedSet(Iterator first, Iterator last) { insert(first, last); }

    // False: it was there.
    bool insert(const Key& key) {
        const auto place = Base::lower_bound(key);
        if (Base::is_at(place, key))
            return false;
        Base::insert_at(place, key);
        return true;
    }
    template <class Iterator> void insert(Iterator first, Iterator last) {
        for (; first != last; ++first)
            insert(*first);
    }
};

} // namespace forkscope
