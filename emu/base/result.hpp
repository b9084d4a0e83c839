// Owns: Result<T> and Error, for trouble of the host: files, images, options, versions.
// Callers: everyone but the simulated side's hot paths. Promises: an Error says what, where and what to do next.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "emu/base/assert.hpp"

namespace forkscope {

// Exit codes of the program (README.md).
enum class ExitCode : int {
    Ok = 0,
    RuntimeError = 1,
    Usage = 2,
    GuestPanic = 3,
    LimitReached = 4,
    Findings = 5,
    ReaderGone = 141, // as of a program that SIGPIPE ended
};

struct Error {
    std::string message;
    ExitCode code = ExitCode::RuntimeError;
};

template <class T> class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::move(value)) {}
    Result(Error error) : state_(std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    T& value() & {
        EMU_ASSERT(ok(), "Result holds an error: {}", std::get<1>(state_).message);
        return std::get<0>(state_);
    }
    const T& value() const& { return const_cast<Result*>(this)->value(); }
    T&& value() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }

    const Error& error() const {
        EMU_ASSERT(!ok(), "Result holds a value");
        return std::get<1>(state_);
    }

  private:
    std::variant<T, Error> state_;
};

template <> class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)), ok_(false) {}

    bool ok() const { return ok_; }
    explicit operator bool() const { return ok_; }
    const Error& error() const {
        EMU_ASSERT(!ok_, "Result holds a value");
        return error_;
    }

  private:
    Error error_;
    bool ok_ = true;
};

} // namespace forkscope
