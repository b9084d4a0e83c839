#include <cstring>

#include "emu/machine/images.hpp"
#include "tests/golden/firmware_machine.hpp"

namespace forkscope {
namespace {

struct Image {
    u32 load_address = 0x100000;
    u32 file_bytes = 0x1235; // no multiple of four: the loader's tail has work, too
    u32 memory_bytes = 0x3337;
};

constexpr u32 kEntryOffset = 32;

// A multiboot image with addresses in its header; at its entry it jumps to itself.
std::vector<u8> make_image(const Image& image) {
    std::vector<u8> bytes(image.file_bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<u8>(i * 7 + i / 256 + 1);
    const u32 magic = 0x1BADB002;
    const u32 flags = 0x10000;
    const u32 words[8] = {magic,
                          flags,
                          0u - magic - flags,
                          image.load_address,
                          image.load_address,
                          image.load_address + image.file_bytes,
                          image.load_address + image.memory_bytes,
                          image.load_address + kEntryOffset};
    std::memcpy(bytes.data(), words, sizeof(words));
    bytes[kEntryOffset] = 0xEB;
    bytes[kEntryOffset + 1] = 0xFE;
    return bytes;
}

MachineConfig configuration(const Image& image) {
    MachineConfig config;
    config.ram_bytes = u64{8} << 20;
    config.kernel = make_image(image);
    config.modules = {{"initrd", std::vector<u8>{1, 2, 3, 4, 5, 6, 7}}};
    config.command_line = "one two";
    return config;
}

// What the multiboot specification defines of the processor at the kernel's entry.
void expect_multiboot_state(const Machine& machine, const CpuState& direct) {
    const CpuState& state = machine.registers();
    EXPECT_EQ(state.eip, machine.boot_plan().entry);
    EXPECT_EQ(state.reg<u32>(kEax), kMultibootLoaderMagic);
    EXPECT_EQ(state.reg<u32>(kEbx), machine.boot_plan().info_address);
    EXPECT_EQ(state.esp(), machine.boot_plan().stack_top);
    EXPECT_EQ(state.x87.control, X87State::kInitialControl);
    EXPECT_EQ(state.x87.occupied, 0);
    EXPECT_EQ(state.x87.status, 0);
    EXPECT_EQ(state.cr0 & 0x80000001u, 1u) << "protection on, paging off";
    EXPECT_EQ(state.eflags() & 0x20200u, 0u) << "no virtual mode, no interrupts";
    EXPECT_TRUE(machine.mmu().paging().a20());
    for (std::size_t i = 0; i < state.segments.size(); ++i) {
        EXPECT_EQ(state.segments[i].selector, direct.segments[i].selector) << i;
        EXPECT_EQ(state.segments[i].base, 0u) << i;
        EXPECT_EQ(state.segments[i].limit, 0xFFFFFFFFu) << i;
        EXPECT_EQ(state.segments[i].access, direct.segments[i].access) << i;
        EXPECT_EQ(state.segments[i].big, direct.segments[i].big) << i;
    }
    EXPECT_EQ(state.cr0, direct.cr0);
    EXPECT_EQ(state.eflags() & 0xFFFFF702u, direct.eflags() & 0xFFFFF702u) << "all but the arithmetic flags";
}

// Boots the image through the firmware, over memory full of old values, and compares with the direct way.
void expect_same_as_direct(const Image& image) {
    MachineConfig config = configuration(image);
    FirmwareMachine booted(config);
    for (const BootSegment& segment : booted->boot_plan().segments)
        booted.poke(segment.address, std::vector<u8>(segment.memory_bytes, 0xCC));
    ASSERT_TRUE(booted.run_to(booted->boot_plan().entry)) << booted.console();
    config.direct = true;
    FirmwareMachine direct(config);
    expect_multiboot_state(*booted, direct->registers());
    expect_multiboot_state(*direct, direct->registers());
    ASSERT_EQ(booted->boot_plan().segments.size(), 3u) << "kernel, initrd, information";
    for (const BootSegment& segment : booted->boot_plan().segments) {
        std::vector<u8> expected(segment.bytes.begin(), segment.bytes.end());
        expected.resize(segment.memory_bytes, 0);
        EXPECT_TRUE(booted.memory(segment.address, segment.memory_bytes) == expected) << segment.address;
        EXPECT_TRUE(direct.memory(segment.address, segment.memory_bytes) == expected) << segment.address;
    }
    EXPECT_EQ(booted.console(), "Forkscope firmware, 8 MB RAM\n");
}

} // namespace

TEST(FirmwareBoot, EntersAMultibootImageAsTheDirectWayDoes) { expect_same_as_direct({}); }

TEST(FirmwareBoot, LoadsSegmentsOfAnyLength) {
    for (u32 extra = 0; extra < 4; ++extra) {
        Image image;
        image.file_bytes = 100 + extra;
        for (u32 more = 0; more < 4; ++more) {
            image.memory_bytes = image.file_bytes + more;
            expect_same_as_direct(image);
        }
    }
}

// The vectors, the data area and the stack all lie there while the firmware works.
TEST(FirmwareBoot, LoadsAnImageOverAllMemoryBelow640K) {
    Image image;
    image.load_address = 0;
    image.file_bytes = 0x8001;
    image.memory_bytes = 0xA0000;
    expect_same_as_direct(image);
}

TEST(FirmwareBoot, LoadsAnImageThatEndsWithTheMemory) {
    Image image;
    image.load_address = 0x200000;
    image.memory_bytes = 0x5FE000; // initrd and information take the two pages above
    expect_same_as_direct(image);
}

TEST(FirmwareBoot, TakesFewCyclesBesideTheCopying) {
    FirmwareMachine small(configuration({}));
    ASSERT_TRUE(small.run_to(small->boot_plan().entry));
    EXPECT_LT(small->now(), 1 * kMillion);
    Image image;
    image.file_bytes = image.memory_bytes = 0x400000;
    FirmwareMachine large(configuration(image));
    ASSERT_TRUE(large.run_to(large->boot_plan().entry));
    EXPECT_LT(large->now() - small->now(), 22 * kMillion) << "20 cycles for each of a million doublewords";
}

TEST(FirmwareBoot, LosesNoKeyTypedForTheKernel) {
    struct Keys final : TraceSink { // that have reached the keyboard
        TraceKinds kinds() const override { return trace_kinds({TraceKind::Input}); }
        void on_event(const TraceEvent&) override { ++count; }
        u32 count = 0;
    } keys;
    FirmwareMachine machine(configuration({}));
    machine->set_trace_sink(&keys);
    ASSERT_TRUE(machine->type("ls\n").ok());
    ASSERT_TRUE(machine.run_to(machine->boot_plan().entry));
    machine->run({machine->now() + 10 * kMillion});
    EXPECT_TRUE(machine->typing());
    EXPECT_EQ(keys.count, 0u);
    machine->set_trace_sink(nullptr);
}

TEST(FirmwareBoot, SaysOnScreenAndConsoleThatThereIsNothingToBoot) {
    FirmwareMachine machine;
    machine.run_firmware();
    EXPECT_EQ(machine.console(), "Forkscope firmware, 64 MB RAM\n"
                                 "Nothing to boot: no kernel was given and there is no disk.\n"
                                 "Start the machine again with a multiboot kernel (--kernel FILE).\n");
    EXPECT_EQ(machine.row(0), "Forkscope firmware, 64 MB RAM");
    EXPECT_EQ(machine.row(1), "Nothing to boot: no kernel was given and there is no disk.");
    EXPECT_EQ(machine->vga().text_screen().cursor_y, 3);
}

TEST(FirmwareBoot, ReachesTheSameStateOnEveryEngine) {
    constexpr u64 kInstructions = 12'000;
    u64 expected = 0;
    for (const EngineKind engine : {EngineKind::Interpreter, EngineKind::Block}) {
        for (const bool fast_table : {false, true}) {
            MachineConfig config = configuration({});
            config.engine = engine;
            config.fast_table = fast_table;
            FirmwareMachine machine(config);
            machine->run({kNever, kInstructions});
            const u64 hash = machine->hash();
            expected = expected == 0 ? hash : expected;
            EXPECT_EQ(hash, expected) << static_cast<int>(engine) << fast_table;
        }
    }
}

TEST(FirmwareBoot, StartsTheSameAgainAfterAReset) {
    FirmwareMachine machine;
    machine.run_firmware();
    const std::string first = machine.console();
    machine.run({0x90}, {});
    const u32 next = machine->cpu().linear_eip();
    machine.poke(0, std::vector<u8>(0xA0000, 0xFF));                // whatever a kernel leaves behind
    machine.poke(next, {0xFA, 0xB0, 0xFE, 0xE6, 0x64, 0xEB, 0xFE}); // cli; mov al, 0FEh; out 64h, al
    machine.run_firmware();
    EXPECT_EQ(machine.console(), first);
}

// How programs of the 286 came back from protected mode: a code in the CMOS, an address at 40:67.
TEST(FirmwareBoot, ResumesAfterAResetThatWasAskedForInTheCmos) {
    constexpr u32 kMark = 0x500, kResumed = 0x9000;
    for (const u8 code : {0x05, 0x0A, 0x00, 0x03}) {
        FirmwareMachine machine;
        machine.run_firmware();
        machine.run({0x90}, {});
        const u32 next = machine->cpu().linear_eip();
        machine.poke(0x467, {0x00, 0x90, 0x00, 0x00});
        // cs inc byte [500h]; jmp $
        machine.poke(kResumed, {0x2E, 0xFE, 0x06, kMark & 0xFF, kMark >> 8, 0xEB, 0xFE});
        machine.poke(kMark, {0});
        // cli; mov al, 0Fh; out 70h, al; mov al, CODE; out 71h, al; mov al, 0FEh; out 64h, al; jmp $
        machine.poke(next, {0xFA, 0xB0, 0x0F, 0xE6, 0x70, 0xB0, code, 0xE6, 0x71, 0xB0, 0xFE, 0xE6, 0x64, 0xEB, 0xFE});
        const bool resumes = code == 0x05 || code == 0x0A;
        if (!resumes) {
            machine.run_firmware();
            EXPECT_EQ(machine.number(kMark, 1), 0u) << int{code};
            continue;
        }
        machine->run({machine->now() + kMillion});
        EXPECT_EQ(machine.number(kMark, 1), 1u) << int{code};
        EXPECT_EQ(machine->cpu().linear_eip(), kResumed + 5);
        // The code is used up: the next reset starts the machine.
        machine.poke(kResumed + 5, {0xB0, 0xFE, 0xE6, 0x64, 0xEB, 0xFE});
        machine.run_firmware();
    }
}

// Line 13: the firmware lets the coprocessor go on, and calls INT 02h.
TEST(FirmwareBoot, HandsX87ErrorsToInterrupt2) {
    FirmwareMachine machine;
    machine.run_firmware();
    machine.poke(2 * 4, {0x00, 0x85, 0x00, 0x00});
    machine.poke(0x8500, {0xFE, 0x06, 0x10, 0x85, 0xDB, 0xE2, 0xCF}); // inc byte [8510h]; fnclex; iret
    machine.poke(0x8510, {0});
    machine.poke(0x8520, {0x7B, 0x03}); // division by zero unmasked
    // fldcw [8520h]; fld1; fldz; fdivp; sti; fld1
    const ServiceRegisters out =
        machine.run({0xD9, 0x2E, 0x20, 0x85, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0xFB, 0xD9, 0xE8, 0x90}, {});
    EXPECT_EQ(out.flags & kCarry, 0);
    EXPECT_EQ(machine.number(0x8510, 1), 1u);
}

TEST(FirmwareImage, LooksLikeAPcsFromTheOutside) {
    const std::span<const u8> image = embedded_firmware();
    ASSERT_EQ(image.size(), 0x10000u);
    EXPECT_EQ(image[0xFFF0], 0xEA) << "a far jump";
    EXPECT_EQ(image[0xFFF3] | image[0xFFF4] << 8, 0xF000);
    EXPECT_EQ(image[0xFFFE], 0xFC) << "an AT";
    const std::string date(image.begin() + 0xFFF5, image.begin() + 0xFFFD);
    EXPECT_EQ(date[2], '/');
    EXPECT_EQ(date[5], '/');
}

} // namespace forkscope
