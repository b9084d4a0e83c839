// The TLB as people read it: entries, disagreements in every kind, text and JSON.
#include <gtest/gtest.h>

#include "emu/report/json_writer.hpp"
#include "emu/report/text_writer.hpp"
#include "emu/report/tlb_report.hpp"

namespace forkscope {
namespace {

constexpr u32 kDirectory = 0x1000, kTable = 0x2000, kAll = kPtePresent | kPteWritable | kPteUser;

class TlbReports : public testing::Test {
  protected:
    TlbReports() {
        mmu.set_tlb_model(kTlbOfP6);
        put(kDirectory, kTable | kAll);
        for (u32 page = 0; page < 1024; ++page)
            put(kTable + page * 4, page << 12 | kAll);
        mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
        mmu.write_cr0(0, kCr0Pg | kCr0Pe);
    }
    void put(u32 at, u32 value) { std::memcpy(memory.host(PhysicalAddress(at)), &value, sizeof value); }
    std::string verdict_after(u32 entry) {
        mmu.write_cr3(kDirectory, TlbFlushReason::Cr3);
        put(kTable + 0x5 * 4, 0x5000 | kAll | kPteDirty);
        EXPECT_TRUE(mmu.store<u32>(LinearAddress(0x5000), 1, Privilege::User).ok);
        put(kTable + 0x5 * 4, entry);
        const TlbView report = tlb_view(mmu);
        EXPECT_EQ(report.rows.size(), 1u);
        return report.rows[0].verdict;
    }

    PhysicalMemory memory{2u << 20};
    Bus bus;
    Tracer tracer;
    Mmu mmu{memory, bus, tracer};
};

TEST_F(TlbReports, SayHowAnEntryDisagrees) {
    EXPECT_EQ(verdict_after(0x5000 | kAll | kPteDirty), "yes");
    EXPECT_EQ(verdict_after(0), "no: absent now");
    EXPECT_EQ(verdict_after(0x7000 | kAll | kPteDirty), "no: frame 00007 now");
    EXPECT_EQ(verdict_after(0x5000 | kPtePresent | kPteUser | kPteDirty), "no: read-only now");
    EXPECT_EQ(verdict_after(0x5000 | kPtePresent | kPteWritable | kPteDirty), "no: kernel-only now");
    EXPECT_EQ(verdict_after(0x5000 | kAll), "no: D is clear now");
}

TEST_F(TlbReports, PutWhatDisagreesFirstAndCountIt) {
    for (const u32 page : {9u, 3u, 5u})
        EXPECT_TRUE(mmu.load<u8>(LinearAddress(page << 12), Privilege::User).ok);
    EXPECT_TRUE(mmu.fetch(LinearAddress(0x9000), Privilege::User).ok);
    put(kTable + 9 * 4, 0);
    const TlbView report = tlb_view(mmu);
    ASSERT_EQ(report.rows.size(), 4u);
    EXPECT_EQ(report.stale, 2u);
    EXPECT_EQ(report.rows[0].entry.tag, 0x9000u);
    EXPECT_EQ(report.rows[1].array, TlbArray::Instruction4K);
    EXPECT_EQ(report.rows[2].set, 3u);
    EXPECT_EQ(report.valid[0], 3u);
    EXPECT_EQ(report.places[0], 64u);
    EXPECT_EQ(report.places[3], 2u);
}

TEST_F(TlbReports, CountHitsOnlyWhereAsked) {
    EXPECT_TRUE(mmu.load<u8>(LinearAddress(0x5000), Privilege::User).ok);
    EXPECT_FALSE(tlb_view(mmu).counts_hits);
    mmu.set_count_hits(true);
    for (u32 i = 0; i < 7; ++i)
        EXPECT_TRUE(mmu.load<u8>(LinearAddress(0x5000 + i), Privilege::User).ok);
    EXPECT_EQ(tlb_view(mmu).rows[0].entry.hits, 7u);
}

TEST_F(TlbReports, AreTextAndJson) {
    EXPECT_TRUE(mmu.store<u8>(LinearAddress(0x5000), 1, Privilege::User).ok);
    const auto name = [](u32) { return std::string("start+4"); };
    const std::string text = document_text(tlb_document(tlb_view(mmu), name));
    EXPECT_NE(text.find("D4K 1 of 64, D4M 0 of 8, I4K 0 of 32, I4M 0 of 2, 0 stale"), std::string::npos) << text;
    EXPECT_NE(text.find("00005000  00005 rw-"), std::string::npos) << text;
    EXPECT_NE(text.find("start+4"), std::string::npos);
    const std::string json = document_json(tlb_document(tlb_view(mmu), name));
    EXPECT_NE(json.find(R"("linear": "0x00005000")"), std::string::npos) << json;
    EXPECT_NE(json.find(R"("hits": null)"), std::string::npos);
    EXPECT_NE(json.find(R"("agrees": true)"), std::string::npos);
}

} // namespace
} // namespace forkscope
