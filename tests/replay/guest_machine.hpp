// Owns: machines that run the built-in guest, for tests.
// Callers: tests only. Promises: what is printed on COM1 is kept; a machine that cannot be made fails the test.
#pragma once

#include <gtest/gtest.h>

#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope {

struct GuestMachine {
    std::unique_ptr<Machine> machine;
    std::string console;

    // The first kernel of the list is the default, as for --os.
    explicit GuestMachine(const std::string& command_line, const std::function<void(MachineConfig&)>& adjust = {},
                          const std::string& os = embedded_kernel_names().front()) {
        MachineConfig config;
        const auto kernel = *embedded_kernel(os);
        const auto initrd = embedded_initrd();
        config.kernel_name = os;
        config.kernel = SharedBytes::copy_of(kernel);
        config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
        config.command_line = command_line;
        if (adjust)
            adjust(config);
        auto created = Machine::create(std::move(config));
        EXPECT_TRUE(created.ok()) << (created.ok() ? "" : created.error().message);
        machine = std::move(created).value();
        machine->set_output([this](std::string_view channel, u8 byte) {
            if (channel == "com1" && !machine->muted())
                console += static_cast<char>(byte);
        });
    }

    // Hashes at every `step` instructions until the guest ends the machine, then the last one.
    std::vector<u64> hashes(u64 step, const std::function<void(Machine&)>& between = {}) {
        std::vector<u64> list;
        u64 next = step;
        for (;;) {
            const StopKind cause = machine->run({kNever, next}).kind;
            if (cause == StopKind::Limit) {
                list.push_back(machine->hash());
                next += step;
                if (between)
                    between(*machine);
                continue;
            }
            if (cause == StopKind::Requested)
                continue;
            EXPECT_EQ(cause, StopKind::Exit);
            list.push_back(machine->hash());
            return list;
        }
    }
};

} // namespace forkscope
