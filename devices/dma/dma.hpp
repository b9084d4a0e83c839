// Owns: the register files of the two 8237A DMA controllers (ports 00h..0Fh, C0h..DFh) and the page registers
// (80h..8Fh). Callers: the Bus. Promises: everything that can be written reads back as the chips do it, flip-flops
// included. No transfers: no device asks for any yet. Port 80h is also where guests write for a short delay.
#pragma once

#include <array>

#include "devices/device.hpp"

namespace forkscope {

// One 8237A.
class DmaController {
  public:
    void reset() { *this = DmaController{}; }
    u8 read(u32 reg);
    void write(u32 reg, u8 value);
    void serialize(Archive& ar);

  private:
    u8 read_word(u16 word);
    void write_word(u16& base, u16& current, u8 value);

    std::array<u16, 4> base_address_{}, base_count_{}, address_{}, count_{};
    std::array<u8, 4> mode_{};
    u8 command_ = 0;
    u8 requests_ = 0; // bit n: a software request of channel n
    u8 masks_ = 0x0F;
    bool high_byte_next_ = false;
};

class Dma : public Device {
  public:
    std::string_view name() const override { return "dma"; }
    void attach(Wiring& wiring) override;
    void reset() override;
    u32 io_read(u32 address, u32 size) override;
    void io_write(u32 address, u32 size, u32 value) override;
    void serialize(Archive& ar) override;

  private:
    std::array<DmaController, 2> controllers_;
    std::array<u8, 16> pages_{};
};

} // namespace forkscope
