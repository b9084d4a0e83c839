// The decoder against Capstone, an implementation that we did not write: every short byte string and many long ones.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "capstone_compare.hpp"
#include "emu/base/random.hpp"

namespace forkscope::test {
namespace {

constexpr CodeMode kModes[] = {{false}, {true}};
constexpr u32 kLength = 15;

bool is_long_run() {
    const char* value = std::getenv("FORKSCOPE_LONG");
    return value != nullptr && std::strcmp(value, "1") == 0;
}

// Lines of forms_we_lack.txt: the form up to the two spaces before Capstone's name for it.
std::set<std::string> forms_we_lack() {
    std::set<std::string> forms;
    std::ifstream file(FORKSCOPE_FORMS_WE_LACK);
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#')
            forms.insert(line.substr(0, line.find("  ")));
    }
    return forms;
}

// Compares byte strings and keeps account of what came out.
class Account {
  public:
    // Returns how many of the bytes either decoder looked at.
    u32 add(CapstoneComparer& comparer, const u8* bytes) {
        ++compared;
        switch (comparer.compare(bytes, kLength)) {
        case Verdict::Same:
            both_decode += comparer.sides().theirs != nullptr;
            break;
        case Verdict::KnownDifference:
            ++known[comparer.known_difference()];
            break;
        case Verdict::FormWeLack:
            lacking.emplace(comparer.lacking_form(), comparer.sides().theirs->mnemonic);
            break;
        case Verdict::Different:
            if (++different <= 20)
                ADD_FAILURE() << comparer.explain();
            break;
        }
        return comparer.bytes_looked_at();
    }

    void expect_clean() const {
        EXPECT_EQ(different, 0u);
        const std::set<std::string> listed = forms_we_lack();
        ASSERT_FALSE(listed.empty()) << "cannot read " << FORKSCOPE_FORMS_WE_LACK;
        for (const auto& [form, name] : lacking)
            EXPECT_TRUE(listed.count(form) == 1) << "Capstone decodes what we do not: " << form << "  " << name;
    }

    u64 compared = 0;
    u64 both_decode = 0;
    u64 different = 0;
    std::map<u32, u64> known;
    std::map<std::string, std::string> lacking; // and Capstone's name
};

// Bytes that no decoder looks at cannot matter to it: unless the run is long, strings that differ only there are tried
// once.
void add_every_string_of_three(CapstoneComparer& comparer, Account& account) {
    u8 bytes[kLength] = {0, 0, 0, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE};
    for (u32 value = 0; value < 1u << 24;) {
        bytes[0] = static_cast<u8>(value >> 16);
        bytes[1] = static_cast<u8>(value >> 8);
        bytes[2] = static_cast<u8>(value);
        const u32 seen = account.add(comparer, bytes);
        const u32 same = is_long_run() || seen >= 3 ? 0 : seen == 2 ? 0xFF : 0xFFFF;
        value = (value | same) + 1;
    }
}

// Half of them plain random bytes, half with up to four prefixes and often 0F, so that rare forms are met too.
void make_random(Random& random, u8* bytes) {
    constexpr u8 kPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3};
    const u64 low = random.next();
    const u64 high = random.next();
    std::memcpy(bytes, &low, 8);
    std::memcpy(bytes + 8, &high, 7);
    const u64 choice = random.next();
    if ((choice & 1) == 0)
        return;
    const u32 prefixes = (choice >> 1) % 5;
    for (u32 i = 0; i < prefixes; ++i)
        bytes[i] = kPrefixes[(choice >> (8 + 8 * i) & 0xFF) % sizeof(kPrefixes)];
    if ((choice >> 60 & 1) != 0)
        bytes[prefixes] = 0x0F;
}

TEST(DecoderAgainstCapstone, AgreesOnEveryStringOfUpToThreeBytes) {
    Account account;
    for (const CodeMode mode : kModes) {
        CapstoneComparer comparer(mode);
        add_every_string_of_three(comparer, account);
    }
    account.expect_clean();
    EXPECT_GT(account.both_decode, 9'000'000u);
    for (u32 i = 0; i < known_differences().size(); ++i)
        EXPECT_GT(account.known[i], 0u) << "a listed difference that never occurs: " << known_differences()[i].title;
}

TEST(DecoderAgainstCapstone, AgreesOnRandomStringsOfFifteenBytes) {
    const u64 count = is_long_run() ? 50'000'000 : 500'000;
    for (const CodeMode mode : kModes) {
        CapstoneComparer comparer(mode);
        Account account;
        Random random(mode.default_32 ? 32 : 16);
        u8 bytes[kLength];
        for (u64 i = 0; i < count; ++i) {
            make_random(random, bytes);
            account.add(comparer, bytes);
        }
        account.expect_clean();
        EXPECT_GT(account.both_decode, count * 3 / 5);
    }
}

// Every opcode with every ModRM byte, with each prefix that SSE made part of the opcode.
TEST(DecoderAgainstCapstone, LacksExactlyTheListedForms) {
    Account account;
    for (const CodeMode mode : kModes) {
        CapstoneComparer comparer(mode);
        for (const u8 prefix : {0x00, 0x66, 0xF2, 0xF3}) {
            for (u32 opcode = 0; opcode < 512; ++opcode) {
                for (u32 mod_rm = 0; mod_rm < 256; ++mod_rm) {
                    u8 bytes[kLength];
                    std::memset(bytes, 0x9E, sizeof(bytes)); // after 0F 0F: PFADD
                    u32 size = 0;
                    if (prefix != 0)
                        bytes[size++] = prefix;
                    if (opcode >= 256)
                        bytes[size++] = 0x0F;
                    bytes[size++] = static_cast<u8>(opcode);
                    bytes[size++] = static_cast<u8>(mod_rm);
                    account.add(comparer, bytes);
                }
            }
        }
    }
    account.expect_clean();
    for (const std::string& form : forms_we_lack())
        EXPECT_TRUE(account.lacking.count(form) == 1) << "listed as lacking, but we decode it: " << form;
    if (HasFailure()) {
        std::string list;
        for (const auto& [form, name] : account.lacking)
            list += form + "  " + name + "\n";
        std::printf("The list as it should be now:\n%s", list.c_str());
    }
}

} // namespace
} // namespace forkscope::test
