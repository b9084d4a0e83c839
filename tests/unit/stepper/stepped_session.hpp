// Owns: a session that stands inside the fork demo's fork, with a history, for tests.
// Callers: tests only. Promises: one that cannot be made fails the test.
#pragma once

#include <gtest/gtest.h>

#include "emu/machine/images.hpp"
#include "emu/session/stepper/stepper.hpp"

namespace forkscope {

inline std::unique_ptr<Session> session_in_fork(const std::string& os = "lunaix", const std::string& until = "stop:1",
                                                const std::string& words = "", const std::string& profile = "") {
    Options options;
    options.command = Command::Step;
    options.os = os;
    options.machine.command_line = words + "run=forkdemo --pages 8 --parent 0";
    options.serial = "none";
    options.trace_forks = true;
    options.history = u64{128} << 20;
    options.until = until;
    options.profile = profile;
    auto session = Session::create(options);
    EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
    EXPECT_EQ((*session)->run_to_end().code, ExitCode::Ok);
    return std::move(session).value();
}

} // namespace forkscope
