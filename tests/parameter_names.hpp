// Owns: how GoogleTest prints this project's enumerations where they are parameters of tests.
// Callers: parametrised tests, whose names are made by testing::PrintToStringParamName() from these.
// Promises: letters, digits and underscores alone, as names of tests must have.
#pragma once

#include <ostream>

#include <gtest/gtest.h>

#include "cpu/cost/cost_model.hpp"
#include "cpu/engine/engine.hpp"
#include "cpu/models/model.hpp"

namespace forkscope {

inline void PrintTo(CpuModel model, std::ostream* out) { *out << model_of(model).name; }

inline void PrintTo(CostModelKind kind, std::ostream* out) {
    constexpr const char* kNames[] = {"flat", "model", "cache"};
    *out << kNames[static_cast<std::size_t>(kind)];
}

inline void PrintTo(EngineKind kind, std::ostream* out) {
    *out << (kind == EngineKind::Interpreter ? "interpreter" : "block");
}

inline void PrintTo(BusWidth width, std::ostream* out) { *out << (width == BusWidth::Bits32 ? "32_bits" : "16_bits"); }

} // namespace forkscope
