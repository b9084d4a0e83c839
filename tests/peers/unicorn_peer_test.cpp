// What docs/peers.md says of Unicorn: why its paging is an oracle for faults and A and D bits, and for nothing else.
#include <unicorn/unicorn.h>

#include <vector>

#include <gtest/gtest.h>

#include "emu/base/types.hpp"

namespace forkscope {
namespace {

constexpr u32 kDirectory = 0x1000, kLowTable = 0x2000, kTable = 0x3000, kFrame = 0x5000, kCode = 0xA000;
constexpr u32 kPage = 0x00400000, kOtherPage = 0x00401000, kMemory = 8u << 20;
constexpr u32 kPresent = 7; // writable, for the user too
constexpr u32 kPagingOn = 0x80000001;

class UnicornPeer : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_EQ(uc_open(UC_ARCH_X86, UC_MODE_32, &uc_), UC_ERR_OK);
        ASSERT_EQ(uc_mem_map(uc_, 0, kMemory, UC_PROT_ALL), UC_ERR_OK);
        uc_hook hook = 0;
        uc_hook_add(uc_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(on_exception), this, 1, 0);
        put(kDirectory, kLowTable | kPresent);
        put(kDirectory + 4, kTable | kPresent);
        for (u32 page = 0; page < 1024; ++page)
            put(kLowTable + page * 4, page << 12 | kPresent);
        const u8 load[] = {0x8B, 0x06}; // mov eax, [esi]
        uc_mem_write(uc_, kCode, load, sizeof load);
        set(UC_X86_REG_CR3, kDirectory);
        set(UC_X86_REG_CR0, kPagingOn);
    }
    void TearDown() override { uc_close(uc_); }

    void put(u32 physical, u32 value) { uc_mem_write(uc_, physical, &value, sizeof value); }
    void set(int number, u32 value) { uc_reg_write(uc_, number, &value); }

    u32 load(u32 linear) {
        set(UC_X86_REG_ESI, linear);
        static_cast<void>(uc_emu_start(uc_, kCode, kCode + 2, 0, 0));
        u32 value = 0;
        uc_reg_read(uc_, UC_X86_REG_EAX, &value);
        return value;
    }

    std::vector<u32> exceptions_;

  private:
    static void on_exception(uc_engine* uc, u32 number, void* self) {
        static_cast<UnicornPeer*>(self)->exceptions_.push_back(number);
        uc_emu_stop(uc);
    }

    uc_engine* uc_ = nullptr;
};

} // namespace

TEST_F(UnicornPeer, TakesDataFromTheLinearAddress) {
    put(kTable, kFrame | kPresent);
    put(kFrame, 0xAAAAAAAA);
    put(kPage, 0xBBBBBBBB);
    EXPECT_EQ(load(kPage), 0xBBBBBBBBu);
    EXPECT_TRUE(exceptions_.empty());
}

TEST_F(UnicornPeer, KeepsTranslationsOverAWriteOfCr3) {
    put(kTable, kFrame | kPresent);
    load(kPage);
    put(kTable, 0);
    set(UC_X86_REG_CR3, kDirectory);
    load(kPage);
    EXPECT_TRUE(exceptions_.empty());
    put(kTable + 4, 0);
    load(kOtherPage);
    EXPECT_EQ(exceptions_, std::vector<u32>{14}); // what is not cached does fault
}

TEST_F(UnicornPeer, TellsTheSecondPageFaultAsADoubleFault) {
    load(kPage);
    put(kTable, kFrame | kPresent);
    load(kPage);
    EXPECT_EQ(exceptions_, std::vector<u32>{14});
    load(kOtherPage);
    EXPECT_EQ(exceptions_, (std::vector<u32>{14, 8}));
}

} // namespace forkscope
