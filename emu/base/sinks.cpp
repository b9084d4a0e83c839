#include "emu/base/sinks.hpp"

#include <numeric>

namespace forkscope {

u64 EventCounts::total() const { return std::accumulate(counts_.begin(), counts_.end(), u64{0}); }

} // namespace forkscope
