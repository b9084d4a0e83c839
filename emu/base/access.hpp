// Owns: Access<T>, the value of a guest memory access that may have faulted.
// Callers: mmu and cpu. Promises: a guest fault is a value, never a C++ exception; the fault's details lie in the Mmu.
#pragma once

namespace forkscope {

template <class T> struct [[nodiscard]] Access {
    T value{};
    bool ok = true;

    static constexpr Access fault() { return {T{}, false}; }
};

template <> struct [[nodiscard]] Access<void> {
    bool ok = true;

    static constexpr Access fault() { return {false}; }
};

} // namespace forkscope
