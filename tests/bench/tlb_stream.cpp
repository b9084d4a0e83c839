#include "tlb_stream.hpp"

#include <cstdio>
#include <cstdlib>

#include "emu/machine/images.hpp"
#include "emu/machine/machine.hpp"

namespace forkscope::bench {

namespace {

using Act = MmuRecorder::Act;

class Keeper final : public MmuRecorder {
  public:
    std::vector<Record> records;

    void asked(Act act, u32 linear, u32 size, u64 value, Privilege privilege) override {
        if (act == Act::Cr0)
            paging_ = (value & kCr0Pg) != 0;
        if (act == Act::Cr3 || act == Act::TaskSwitch)
            return records.push_back({0, Op::Flush, 0, 0});
        if (act == Act::InvalidatePage || act == Act::FaultDrop)
            return records.push_back({linear, Op::Drop, 0, 0});
        const bool access = act == Act::Load || act == Act::Store || act == Act::Update || act == Act::Fetch;
        if (!access || !paging_ || (linear & kPageMask) + size > kPageSize)
            return;
        const Op op = act == Act::Fetch ? Op::Fetch : act == Act::Load ? Op::Read : Op::Write;
        records.push_back({linear, op, static_cast<u8>(privilege), static_cast<u16>(size)});
    }

  private:
    bool paging_ = false;
};

} // namespace

std::vector<Record> record_guest(const std::string& command_line) {
    MachineConfig config;
    const auto kernel = *embedded_kernel("lunaix");
    const auto initrd = embedded_initrd();
    config.kernel = SharedBytes::copy_of(kernel);
    config.modules = {{"initrd.tar", SharedBytes::copy_of(initrd)}};
    config.command_line = command_line;
    auto machine = Machine::create(std::move(config));
    if (!machine.ok()) {
        std::fprintf(stderr, "%s\n", machine.error().message.c_str());
        std::exit(1);
    }
    Keeper keeper;
    (*machine)->mmu().set_recorder(&keeper);
    while ((*machine)->run({}).kind == StopKind::Requested) {
    }
    (*machine)->mmu().set_recorder(nullptr);
    return std::move(keeper.records);
}

} // namespace forkscope::bench
