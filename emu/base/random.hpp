// Owns: Random, the only source of random numbers in the project: xoshiro256** seeded by splitmix64.
// Callers: study modes, tests, fuzzers. Promises: the same seed gives the same sequence on every host.
#pragma once

#include "emu/base/types.hpp"

namespace forkscope {

class Random {
  public:
    explicit Random(u64 seed) {
        for (u64& word : state_) {
            seed += 0x9E3779B97F4A7C15ull;
            u64 z = seed;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
            word = z ^ (z >> 31);
        }
    }

    u64 next() {
        const u64 result = rotate(state_[1] * 5, 7) * 9;
        const u64 t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotate(state_[3], 45);
        return result;
    }

    // Uniform enough for tests: 0 <= result < bound; bound > 0.
    u64 below(u64 bound) { return static_cast<u64>((static_cast<Wide>(next()) * bound) >> 64); }
    bool chance(u32 one_in) { return below(one_in) == 0; }

  private:
    __extension__ using Wide = unsigned __int128;

    static u64 rotate(u64 x, int k) { return (x << k) | (x >> (64 - k)); }

    u64 state_[4];
};

} // namespace forkscope
