#include "cpu/numbers/simd_operations.hpp"

namespace forkscope {

bool simd_host_enabled = true;

void set_simd_engine(SimdEngine engine) { simd_host_enabled = engine == SimdEngine::Host; }

} // namespace forkscope
