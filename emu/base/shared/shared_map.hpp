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
    using Leaves = std::vector<CopyOnWrite<Leaf>>;

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
        reference operator*() const { return (*(*leaves_)[leaf_])[at_]; }
        pointer operator->() const { return &**this; }
        const_iterator& operator++() {
            if (++at_ == (*leaves_)[leaf_]->size())
                ++leaf_, at_ = 0;
            return *this;
        }
        const_iterator& operator--() {
            if (at_-- == 0)
                at_ = (*leaves_)[--leaf_]->size() - 1;
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
        if (last_leaf_ < leaves.size() && last_at_ < leaves[last_leaf_]->size()) {
            const Key& last = KeyOf()((*leaves[last_leaf_])[last_at_]);
            if (!(last < key) && !(key < last))
                return {leaves, last_leaf_, last_at_};
        }
        const auto leaf = std::partition_point(
            leaves.begin(), leaves.end(), [&](const CopyOnWrite<Leaf>& one) { return KeyOf()(one->back()) < key; });
        last_leaf_ = static_cast<std::size_t>(leaf - leaves.begin());
        last_at_ = leaf == leaves.end() ? 0 : place_in(**leaf, key);
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
        if (leaves[at.leaf_]->size() == 1) {
            leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(at.leaf_));
        } else {
            Leaf& leaf = leaves[at.leaf_].edit();
            leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(at.at_));
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
        if (leaves_->empty() || (before != nullptr && leaves_.shares_with(before->leaves_)))
            return;
        footprint.add_shared(sizeof(Leaves));
        footprint.add_array(leaves_->capacity() * sizeof(CopyOnWrite<Leaf>));
        for (const CopyOnWrite<Leaf>& leaf : *leaves_) {
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
    Element& edit(const const_iterator& at) { return leaves_.edit()[at.leaf_].edit()[at.at_]; }
    // Before `at`, which is where its key belongs.
    const_iterator insert_at(const const_iterator& at, Element element) {
        Leaves& leaves = leaves_.edit();
        std::size_t number = at.leaf_;
        std::size_t place = at.at_;
        // Behind all others, where most that grow do so.
        if (number == leaves.size() && number != 0 && leaves.back()->size() < kMost)
            place = leaves[--number]->size();
        else if (number == leaves.size())
            leaves.emplace_back();
        else if (leaves[number]->size() == kMost)
            split(leaves, number, place);
        Leaf& leaf = leaves[number].edit();
        leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(place), std::move(element));
        ++size_;
        return {leaves, number, place};
    }

  private:
    bool has_leaf(const CopyOnWrite<Leaf>& leaf) const {
        const const_iterator at = lower_bound(KeyOf()(leaf->front()));
        return at != end() && (*leaves_)[at.leaf_].shares_with(leaf);
    }
    const Element* element(const Key& key) const {
        const const_iterator at = lower_bound(key);
        return is_at(at, key) ? &*at : nullptr;
    }
    static std::size_t place_in(const Leaf& leaf, const Key& key) {
        const auto at = std::partition_point(leaf.begin(), leaf.end(),
                                             [&](const Element& element) { return KeyOf()(element) < key; });
        return static_cast<std::size_t>(at - leaf.begin());
    }
    static void split(Leaves& leaves, std::size_t& number, std::size_t& place) {
        Leaf& low = leaves[number].edit();
        const auto middle = low.begin() + static_cast<std::ptrdiff_t>(kMost / 2);
        Leaf high(std::make_move_iterator(middle), std::make_move_iterator(low.end()));
        low.erase(middle, low.end());
        leaves.insert(leaves.begin() + static_cast<std::ptrdiff_t>(number) + 1, CopyOnWrite<Leaf>(std::move(high)));
        if (place > kMost / 2)
            ++number, place -= kMost / 2;
    }
    // Small neighbours become one leaf, so that the number of leaves follows that of elements.
    static void join(Leaves& leaves, std::size_t number) {
        if (number + 1 == leaves.size() && number != 0)
            --number;
        if (number + 1 >= leaves.size() || leaves[number]->size() + leaves[number + 1]->size() > kMost / 2)
            return;
        const Leaf next = *leaves[number + 1];
        Leaf& leaf = leaves[number].edit();
        leaf.insert(leaf.end(), next.begin(), next.end());
        leaves.erase(leaves.begin() + static_cast<std::ptrdiff_t>(number) + 1);
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
