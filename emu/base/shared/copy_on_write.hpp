// Owns: CopyOnWrite<T>, a value that its copies share until one of them changes it.
// Callers: observers whose whole state is copied at each checkpoint though little of it has changed since the last.
// Promises: behaves as a T; a default value takes no memory; an address stays good until the next edit() after a copy
// was made. One thread only.
#pragma once

#include <memory>
#include <utility>

#include "emu/base/shared/footprint.hpp"

namespace forkscope {

template <class T> class CopyOnWrite {
  public:
    CopyOnWrite() = default;
    explicit CopyOnWrite(T value) : value_(std::make_shared<T>(std::move(value))) {}

    const T& operator*() const { return value_ != nullptr ? *value_ : kDefault; }
    const T* operator->() const { return &**this; }
    T& edit() {
        if (value_ == nullptr || value_.use_count() != 1)
            value_ = std::make_shared<T>(**this);
        return *value_;
    }
    // Equal without a look at the values.
    bool shares_with(const CopyOnWrite& other) const { return value_ == other.value_; }
    void add_beyond(Footprint& footprint, const CopyOnWrite* before) const {
        if (value_ == nullptr || (before != nullptr && shares_with(*before)))
            return;
        footprint.add_shared(sizeof(T));
        footprint.add(*value_, before != nullptr ? &**before : nullptr);
    }

  private:
    inline static const T kDefault{};

    std::shared_ptr<T> value_; // null: kDefault
};

} // namespace forkscope
