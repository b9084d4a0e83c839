// The walk against Unicorn, that is QEMU's 32-bit paging: which access faults, where, and which A and D bits it leaves.
// Unicorn does not show the error code; the matrix in mmu_walk_test.cpp covers it from the manual.
#include <unicorn/unicorn.h>

#include "fixture.hpp"

namespace forkscope {
namespace {

constexpr u32 kTable = 0x3000, kFrame = 0x5000, kKernelTable = 0x2000;
constexpr u32 kGdt = 0x8000, kStack = 0x9000, kKernelCode = 0xA000;
constexpr u32 kMapped = 8u << 20; // Unicorn wants the linear address, too, to be one where it has memory
constexpr u32 kLoadCode = 0xA100, kStoreCode = 0xA200;
constexpr u32 kUserSelector = 0x1B, kUserData = 0x23;

class UnicornMachine {
  public:
    explicit UnicornMachine(Privilege privilege) {
        EXPECT_EQ(uc_open(UC_ARCH_X86, UC_MODE_32, &uc_), UC_ERR_OK);
        EXPECT_EQ(uc_mem_map(uc_, 0, kMapped, UC_PROT_ALL), UC_ERR_OK);
        uc_hook hook = 0;
        uc_hook_add(uc_, &hook, UC_HOOK_INTR, reinterpret_cast<void*>(on_exception), this, 1, 0);
        put(kDirectory, kKernelTable | 0x67);
        for (u32 page = 0; page < 1024; ++page)
            put(kKernelTable + page * 4, page << 12 | 0x67);
        const u64 descriptors[] = {0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00CFFB000000FFFF, 0x00CFF3000000FFFF};
        uc_mem_write(uc_, kGdt, descriptors, sizeof descriptors);
        uc_x86_mmr gdtr{};
        gdtr.base = kGdt;
        gdtr.limit = sizeof descriptors - 1;
        uc_reg_write(uc_, UC_X86_REG_GDTR, &gdtr);
        const u8 iretd = 0xCF;
        uc_mem_write(uc_, kKernelCode, &iretd, 1);
        const u8 load[] = {0x8B, 0x06}, store[] = {0x89, 0x06}; // between EAX and [ESI]
        uc_mem_write(uc_, kLoadCode, load, sizeof load);
        uc_mem_write(uc_, kStoreCode, store, sizeof store);
        set(UC_X86_REG_CR0, 1);
        set(UC_X86_REG_CS, 8);
        set(UC_X86_REG_SS, 0x10);
        set(UC_X86_REG_DS, 0x10);
        if (privilege == Privilege::User) {
            const u32 frame[] = {kLoadCode, kUserSelector, 2, kStack + 0x800, kUserData};
            uc_mem_write(uc_, kStack, frame, sizeof frame);
            set(UC_X86_REG_ESP, kStack);
            set(UC_X86_REG_DS, kUserData); // or IRET would empty it
            EXPECT_EQ(uc_emu_start(uc_, kKernelCode, kStack, 0, 1), UC_ERR_OK);
        }
    }
    ~UnicornMachine() { uc_close(uc_); }

    void put(u32 physical, u32 value) { uc_mem_write(uc_, physical, &value, sizeof value); }
    u32 get(u32 physical) {
        u32 value = 0;
        uc_mem_read(uc_, physical, &value, sizeof value);
        return value;
    }
    void set(int number, u32 value) { uc_reg_write(uc_, number, &value); }

    // Does one load or store of EAX at `linear`. True if it did not fault.
    bool access(u32 linear, u32 cr0, AccessKind kind) {
        set(UC_X86_REG_CR4, kCr4Pse);
        set(UC_X86_REG_CR3, kDirectory);
        set(UC_X86_REG_CR0, cr0);
        set(UC_X86_REG_EAX, 0x55AA55AA);
        set(UC_X86_REG_ESI, linear);
        const u32 code = kind == AccessKind::Write ? kStoreCode : kLoadCode;
        exception_ = 0;
        static_cast<void>(uc_emu_start(uc_, code, code + 2, 0, 0));
        EXPECT_TRUE(exception_ == 0 || exception_ == 14) << exception_;
        EXPECT_EQ(get_register(UC_X86_REG_EIP) == code + 2, exception_ == 0);
        return exception_ == 0;
    }
    u32 get_register(int number) {
        u32 value = 0;
        uc_reg_read(uc_, number, &value);
        return value;
    }

  private:
    // Without a hook the exception would stay pending and end every later run at once.
    static void on_exception(uc_engine* uc, u32 number, void* self) {
        static_cast<UnicornMachine*>(self)->exception_ = number;
        uc_emu_stop(uc);
    }

    uc_engine* uc_ = nullptr;
    u32 exception_ = 0;
};

// Every combination of the rights of both levels, A and D clear, each absence once.
std::vector<std::pair<u32, u32>> entry_pairs() {
    std::vector<std::pair<u32, u32>> pairs = {{0, 0}};
    for (u32 upper = 0; upper < 4; ++upper) {
        const u32 rights = kPtePresent | upper * kPteWritable;
        pairs.emplace_back(rights | kPteLarge, 0);
        pairs.emplace_back(rights | kTable, kFrame | kPteWritable | kPteUser);
        for (u32 lower = 0; lower < 4; ++lower)
            pairs.emplace_back(rights | kTable, kFrame | kPtePresent | lower * kPteWritable);
    }
    return pairs;
}

TEST_F(MmuTest, AgreesWithUnicornOnFaultsAndAccessedAndDirtyBits) {
    constexpr u32 kLinear = 0x00400120, kEntryAt = kDirectory + 4;
    u32 succeeded = 0;
    for (const auto& [directory_entry, table_entry] : entry_pairs()) {
        // Bit 0: WP, bit 1: user, bit 2: write. WP means nothing to reads and to the user.
        for (const u32 mode : {1u, 3u, 6u, 4u, 5u}) {
            const u32 cr0 = kCr0Pg | kCr0Pe | ((mode & 1) != 0 ? u32{kCr0Wp} : 0);
            const auto privilege = static_cast<Privilege>(mode >> 1 & 1);
            const auto kind = static_cast<AccessKind>(mode >> 2);
            SCOPED_TRACE(fmt::format("pde {:#x} pte {:#x} mode {}", directory_entry, table_entry, mode));
            put(kEntryAt, directory_entry);
            put(kTable, table_entry);
            mmu.reset();
            mmu.write_cr4(0, kCr4Pse);
            mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
            mmu.write_cr0(0, cr0);
            const bool ok = kind == AccessKind::Read ? mmu.load<u32>(LinearAddress(kLinear), privilege).ok
                                                     : mmu.store<u32>(LinearAddress(kLinear), 5, privilege).ok;

            // A new one each time: it keeps translations over CR3, and takes a second fault for a double fault.
            UnicornMachine unicorn(privilege);
            unicorn.put(kEntryAt, directory_entry);
            unicorn.put(kTable, table_entry);
            ASSERT_EQ(unicorn.access(kLinear, cr0, kind), ok);
            succeeded += ok;
            // QEMU sets A in the directory entry before it has looked at the table entry, even if that faults then;
            // the processors of the Pentium's time write nothing on a fault.
            const u32 ignored = ok ? 0 : u32{kPteAccessed};
            ASSERT_EQ(unicorn.get(kEntryAt) & ~ignored, get(kEntryAt) & ~ignored);
            ASSERT_EQ(unicorn.get(kTable), get(kTable));
            if (!ok) {
                ASSERT_EQ(unicorn.get_register(UC_X86_REG_CR2), kLinear);
            }
        }
    }
    EXPECT_GT(succeeded, 30u);
}

} // namespace
} // namespace forkscope
