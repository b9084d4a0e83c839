// Owns: AllDevices, one of each device on one FakeWiring. Callers: the tests that treat all devices alike.
// Promises: everything is attached and the lines reach the Pic.
#pragma once

#include "devices/cmos/cmos.hpp"
#include "devices/coprocessor_error.hpp"
#include "devices/debug_console.hpp"
#include "devices/dma/dma.hpp"
#include "devices/exit_port.hpp"
#include "devices/firmware_config.hpp"
#include "devices/keyboard/keyboard_controller.hpp"
#include "devices/pic/pic.hpp"
#include "devices/pit/pit.hpp"
#include "devices/port92.hpp"
#include "devices/trace_port.hpp"
#include "devices/uart/uart.hpp"
#include "devices/vga/vga.hpp"
#include "tests/unit/devices/fake_wiring.hpp"

namespace forkscope {

struct AllDevices {
    FakeWiring wiring;
    Pic pic;
    Pit pit;
    Uart com1{"com1", 0x3F8, 4};
    Uart com2{"com2", 0x2F8, 3, SerialTiming::Timed};
    KeyboardController keyboard;
    Port92 port92;
    Vga vga;
    Cmos cmos{{.start_unix_time = 951782390, .ram_bytes = u64{64} << 20}};
    Dma dma;
    CoprocessorError coprocessor_error;
    DebugConsole debug_console;
    ExitPort exit_port;
    TracePort trace_port;
    FirmwareConfig firmware_config;

    AllDevices() {
        wiring.connect(pic);
        for (Device* device : all())
            wiring.add(*device);
        firmware_config.set_item(0, {'F', 'S', 'C', 'P'});
    }

    std::vector<Device*> all() {
        return {&pic,           &pit,
                &com1,          &com2,
                &keyboard,      &port92,
                &vga,           &cmos,
                &dma,           &coprocessor_error,
                &debug_console, &exit_port,
                &trace_port,    &firmware_config};
    }
};

} // namespace forkscope
