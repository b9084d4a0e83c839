// Repeated strings on device memory and ports: each iteration is an access, and between any two the run can end.
#include <gtest/gtest.h>

#include "code_runner.hpp"

namespace forkscope::test {
namespace {

constexpr u32 kDevice = 0xE0000000, kIterations = 2'000'000;
constexpr u16 kPort = 0x340;

// Counts what is done to it; at one of them it asks the run to end.
class CountingDevice final : public IoHandler {
  public:
    explicit CountingDevice(Cpu& cpu) : cpu_(cpu) {}
    u32 io_read(u32, u32) override {
        count();
        return 0;
    }
    void io_write(u32, u32, u32) override { count(); }

    u64 accesses = 0;
    u64 asks_at = ~u64{0};

  private:
    void count() {
        if (++accesses == asks_at)
            cpu_.request_stop();
    }
    Cpu& cpu_;
};

struct Form {
    const char* name;
    std::vector<int> bytes;
    u32 accesses = 1; // an iteration
};
const Form kForms[] = {{"rep stosb", {0xF3, 0xAA}},    {"rep stosd", {0xF3, 0xAB}},     {"rep lodsb", {0xF3, 0xAC}},
                       {"rep movsd", {0xF3, 0xA5}, 2}, {"repe cmpsb", {0xF3, 0xA6}, 2}, {"repe scasd", {0xF3, 0xAF}},
                       {"rep insb", {0xF3, 0x6C}, 2},   // from a port to device memory
                       {"rep outsd", {0xF3, 0x6F}, 2}}; // and back

class RepeatedOnDevices : public testing::TestWithParam<Way> {
  protected:
    // Every pointer stands at the device, and does not come to its end.
    void start(const Form& form) {
        runner_.emplace(GetParam());
        device_.emplace(runner_->cpu);
        runner_->bus().map_memory(PhysicalAddress(kDevice), u64{256} << 20, *device_, 4);
        runner_->bus().map_ports(kPort, 8, *device_, 4);
        runner_->enter_protected_mode();
        runner_->code(form.bytes);
        CpuState& state = runner_->edit();
        state.set_reg<u32>(kEax, 0);
        state.set_reg<u32>(kEcx, kIterations);
        state.set_reg<u32>(kEdx, kPort);
        state.set_reg<u32>(kEsi, kDevice);
        state.set_reg<u32>(kEdi, kDevice + (u32{16} << 20));
        runner_->apply();
    }
    u32 done() const { return kIterations - runner_->reg(kEcx); }

    std::optional<CodeRunner> runner_;
    std::optional<CountingDevice> device_;
};
INSTANTIATE_TEST_SUITE_P(EveryWay, RepeatedOnDevices, testing::ValuesIn(every_way()),
                         testing::PrintToStringParamName());

// An iteration costs a cycle at least, so a slice of so many cycles has no more of them than that.
TEST_P(RepeatedOnDevices, EndWithTheSliceThatTheyAreIn) {
    constexpr Cycles kSlice = 1000;
    for (const Form& form : kForms) {
        start(form);
        for (u32 slice = 1; slice <= 5; ++slice) {
            const u32 before = done();
            EXPECT_EQ(runner_->cpu.run_until(runner_->cpu.now() + kSlice, ~u64{0}), CpuStop::Deadline) << form.name;
            EXPECT_GT(done(), before) << form.name;
            EXPECT_LE(done() - before, kSlice + 1) << form.name;
            EXPECT_EQ(device_->accesses, u64{done()} * form.accesses) << form.name;
            EXPECT_EQ(runner_->eip(), CodeRunner::kStart) << form.name;
        }
    }
}

TEST_P(RepeatedOnDevices, EndBehindTheIterationInWhichTheyAreAskedTo) {
    for (const Form& form : kForms) {
        start(form);
        device_->asks_at = 501;
        EXPECT_EQ(runner_->cpu.run_until(kNever, ~u64{0}), CpuStop::Requested) << form.name;
        EXPECT_EQ(done(), (501 + form.accesses - 1) / form.accesses) << form.name;
        // And go on as if nothing had been.
        EXPECT_EQ(runner_->cpu.run_until(runner_->cpu.now() + 100, ~u64{0}), CpuStop::Deadline) << form.name;
        EXPECT_EQ(device_->accesses, u64{done()} * form.accesses) << form.name;
    }
}

} // namespace
} // namespace forkscope::test
