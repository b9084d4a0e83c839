// Owns: CopyOnWrite<T>, a value that its copies share until one of them changes it.
// Callers: observers whose whole state is copied at each checkpoint though little of it has changed since the last.
// Promises: behaves as a T; an address stays good until the next edit() after a copy was made. One thread only.
#pragma once

#include <memory>
#include <utility>

namespace forkscope {

template <class T> class CopyOnWrite {
  public:
    CopyOnWrite() : value_(std::make_shared<T>()) {}
    explicit CopyOnWrite(T value) : value_(std::make_shared<T>(std::move(value))) {}

    const T& operator*() const { return *value_; }
    const T* operator->() const { return value_.get(); }
    T& edit() {
        if (value_.use_count() != 1)
            value_ = std::make_shared<T>(*value_);
        return *value_;
    }

  private:
    std::shared_ptr<T> value_;
};

} // namespace forkscope
