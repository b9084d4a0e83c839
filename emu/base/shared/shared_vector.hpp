// Owns: SharedVector<T>, a list whose copies share all that has not changed since.
// Callers: observers whose lists are copied at each checkpoint and grow at their end. Promises: a copy costs the same
// however long the list is, and a change after it copies one chunk and the references to the others; reading is that
// of a std::vector; an address stays good until the next change. One thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "emu/base/shared/copy_on_write.hpp"

namespace forkscope {

template <class T> class SharedVector {
    // A chunk takes 2 KB, about.
    static constexpr std::size_t chunk_length(std::size_t length) {
        return length >= 1024 || 2 * length * sizeof(T) > 2048 ? length : chunk_length(2 * length);
    }
    static constexpr std::size_t kChunk = chunk_length(4);
    using Chunk = std::vector<T>;

  public:
    using value_type = T;

    class const_iterator {
      public:
        using iterator_category = std::random_access_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;
        using pointer = const T*;
        using reference = const T&;
        const_iterator() = default;
        const_iterator(const SharedVector& list, std::size_t at) : list_(&list), at_(at) {}
        reference operator*() const { return (*list_)[at_]; }
        pointer operator->() const { return &**this; }
        reference operator[](difference_type by) const { return *(*this + by); }
        const_iterator& operator++() { return ++at_, *this; }
        const_iterator& operator--() { return --at_, *this; }
        const_iterator operator++(int) { return {*list_, at_++}; }
        const_iterator operator--(int) { return {*list_, at_--}; }
        const_iterator& operator+=(difference_type by) {
            at_ += static_cast<std::size_t>(by);
            return *this;
        }
        const_iterator& operator-=(difference_type by) { return *this += -by; }
        friend const_iterator operator+(const_iterator at, difference_type by) { return at += by; }
        friend const_iterator operator+(difference_type by, const_iterator at) { return at += by; }
        friend const_iterator operator-(const_iterator at, difference_type by) { return at -= by; }
        friend difference_type operator-(const const_iterator& a, const const_iterator& b) {
            return static_cast<difference_type>(a.at_) - static_cast<difference_type>(b.at_);
        }
        bool operator==(const const_iterator& other) const { return at_ == other.at_; }
        auto operator<=>(const const_iterator& other) const { return at_ <=> other.at_; }

      private:
        const SharedVector* list_ = nullptr;
        std::size_t at_ = 0;
    };
    using iterator = const_iterator;

    SharedVector() = default;
    SharedVector(const SharedVector&) = default;
    SharedVector(SharedVector&& other) noexcept
        : chunks_(std::move(other.chunks_)), size_(std::exchange(other.size_, 0)) {}
    SharedVector& operator=(SharedVector other) noexcept {
        std::swap(chunks_, other.chunks_);
        std::swap(size_, other.size_);
        return *this;
    }
    SharedVector(std::initializer_list<T> values) : SharedVector(std::vector<T>(values)) {}
    explicit SharedVector(const std::vector<T>& values) {
        for (const T& value : values)
            push_back(value);
    }
    std::vector<T> to_vector() const { return {begin(), end()}; }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    const T& operator[](std::size_t at) const { return (*(*chunks_)[at / kChunk])[at % kChunk]; }
    const T& at(std::size_t place) const {
        if (place >= size_)
            throw std::out_of_range("SharedVector");
        return (*this)[place];
    }
    const T& front() const { return (*this)[0]; }
    const T& back() const { return (*this)[size_ - 1]; }
    const_iterator begin() const { return {*this, 0}; }
    const_iterator end() const { return {*this, size_}; }
    auto rbegin() const { return std::make_reverse_iterator(end()); }
    auto rend() const { return std::make_reverse_iterator(begin()); }

    T& edit(std::size_t at) { return chunks_.edit()[at / kChunk].edit()[at % kChunk]; }
    T& edit_back() { return edit(size_ - 1); }
    void push_back(T value) {
        auto& chunks = chunks_.edit();
        if (size_ % kChunk == 0)
            chunks.emplace_back();
        chunks.back().edit().push_back(std::move(value));
        ++size_;
    }
    // Elements that are new get the value.
    void resize(std::size_t size, const T& value = T()) {
        while (size_ < size)
            push_back(value);
        if (size == size_)
            return;
        size_ = size;
        auto& chunks = chunks_.edit();
        chunks.resize((size + kChunk - 1) / kChunk);
        if (size % kChunk != 0)
            chunks.back().edit().resize(size % kChunk);
    }
    // Without copying where it changes nothing.
    template <class Part, class Value> void set_all(Part part, Value value) {
        for (std::size_t at = 0; at < size_; ++at)
            if ((*this)[at].*part != value)
                edit(at).*part = value;
    }
    void clear() { *this = SharedVector(); }
    void add_beyond(Footprint& footprint, const SharedVector* before) const {
        if (chunks_->empty() || (before != nullptr && chunks_.shares_with(before->chunks_)))
            return;
        footprint.add_shared(sizeof *chunks_);
        footprint.add_array(chunks_->capacity() * sizeof(CopyOnWrite<Chunk>));
        for (std::size_t i = 0; i < chunks_->size(); ++i) {
            const bool was = before != nullptr && i < before->chunks_->size();
            (*chunks_)[i].add_beyond(footprint, was ? &(*before->chunks_)[i] : nullptr);
        }
    }

  private:
    CopyOnWrite<std::vector<CopyOnWrite<Chunk>>> chunks_; // all but the last full
    std::size_t size_ = 0;
};

} // namespace forkscope
