// Files that older versions of the program wrote, and files of today with the version of one part changed: each opens
// and says what it says, or is refused by the name and version of what does not fit.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <unistd.h>

#include "emu/machine/images.hpp"
#include "emu/session/recording/replay.hpp"
#include "emu/session/session.hpp"
#include "emu/session/snapshot_file.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = FORKSCOPE_OLD_FILES;
constexpr u64 kRam = u64{2} << 20;
constexpr u64 kSavedAt = 20'000; // instructions
constexpr u32 kKernel = 0x100000;
constexpr u32 kOtherVersions[] = {0, 1, 2, 3, 4, 0x7FFFFFFF, 0xFFFFFFFF};

std::vector<u8> bytes_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

fs::path temporary(const std::string& name) {
    return fs::path(::testing::TempDir()) / ("forkscope-" + std::to_string(::getpid()) + "-" + name);
}

std::string message_of(const Result<void>& result) { return result.ok() ? "" : result.error().message; }

MachineConfig small_machine() {
    MachineConfig config;
    config.ram_bytes = kRam;
    config.kernel_name = "guest.bin";
    config.kernel = bytes_of(FORKSCOPE_OLD_FILES_GUEST);
    return config;
}

std::unique_ptr<Machine> machine_with_guest() {
    auto machine = Machine::create(small_machine());
    EXPECT_TRUE(machine.ok());
    return std::move(machine).value();
}

// With the observers whose pictures a snapshot holds.
std::unique_ptr<Session> traced_session() {
    Options options;
    options.serial = "none";
    options.trace_forks = true;
    options.machine.ram_bytes = u64{16} << 20;
    auto session = Session::create(options);
    EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
    return std::move(session).value();
}

Result<void> load(Machine& machine, const fs::path& path) {
    const auto file = SnapshotFile::open(path, kRam);
    return file.ok() ? file->load(machine) : Result<void>(file.error());
}

// The field `firmware` of a snapshot's configuration.
u64 firmware_of(const fs::path& path) {
    const auto file = ChunkFileReader::open(path, kSnapshotFile);
    EXPECT_TRUE(file.ok());
    const auto configuration = file->read(file->chunks().front(), kMostSectionBytes);
    const std::string name = "v\x08"
                             "firmware";
    const auto field = std::search(configuration->begin(), configuration->end(), name.begin(), name.end());
    u64 hash = 0;
    EXPECT_GE(static_cast<std::size_t>(configuration->end() - field), name.size() + 2 * sizeof hash);
    std::memcpy(&hash, &*field + name.size() + sizeof hash, sizeof hash);
    return hash;
}

std::map<std::string, u32> events_by_kind(const TraceFileReader& trace) {
    std::map<std::string, u32> counts;
    const auto read = trace.for_each([&](const TraceEvent& event) {
        ++counts[trace.kind_name(static_cast<u8>(event.kind))];
        return true;
    });
    EXPECT_TRUE(read.ok()) << message_of(read);
    return counts;
}

// What the kernel itself made happen, without when, as each firmware takes another time before it; without what older
// versions saw less of, when a table's frame lost its mark.
std::vector<std::string> kernel_lines_of(const TraceFileReader& trace) {
    std::vector<std::string> lines;
    const auto read = trace.for_each([&](const TraceEvent& event) {
        const std::string line = trace_event_line(event);
        if (event.eip >= kKernel && event.kind != TraceKind::PteWrite && event.kind != TraceKind::PageTableFrame)
            lines.push_back(line.substr(line.find("eip=")));
        return true;
    });
    EXPECT_TRUE(read.ok()) << message_of(read);
    return lines;
}

// The files of each commit of README.md: why each is refused (nullptr: it opens), and entries written in the trace.
struct Wrote {
    const char* commit;
    const char* trace;
    const char* snapshot;
    u32 entries_written;
};
constexpr Wrote kOld[] = {
    {"a8b93a8", "is a trace of version 1; this program reads version 2; record it again",
     "is a snapshot of version 1; this program reads version 2; save it again", 0},
    {"6939f43", nullptr, "its section 'cpu' has version 1; this program reads version 2; save it again", 2},
    {"b82ed5d", nullptr, "its section 'cpu' has version 1; this program reads version 2; save it again", 4},
    {"b71f19b", nullptr, nullptr, 4},
    {"6f55160", nullptr, nullptr, 4},
};

} // namespace

TEST(OldFiles, TracesOpenOrAreRefusedByVersion) {
    for (const Wrote& old : kOld) {
        SCOPED_TRACE(old.commit);
        const fs::path path = kFolder / old.commit / "guest.trace";
        auto trace = TraceFileReader::open(path);
        if (old.trace != nullptr) {
            ASSERT_FALSE(trace.ok());
            EXPECT_EQ(trace.error().message, "'" + path.string() + "' " + old.trace);
            continue;
        }
        ASSERT_TRUE(trace.ok()) << trace.error().message;
        EXPECT_TRUE(trace->complete());
        EXPECT_EQ(trace->damage(), "");
        const std::map<std::string, u32> counts = events_by_kind(*trace);
        EXPECT_EQ(counts.at("page_fault"), 4u);
        EXPECT_EQ(counts.at("pte_write"), old.entries_written);
        EXPECT_EQ(counts.at("tlb_flush"), 10u);
        EXPECT_EQ(counts.at("cr3_load"), 2u);
        EXPECT_EQ(counts.at("interrupt_return"), 34u);
        const auto newest = TraceFileReader::open(kFolder / std::end(kOld)[-1].commit / "guest.trace");
        EXPECT_EQ(kernel_lines_of(*trace), kernel_lines_of(*newest));
    }
}

TEST(OldFiles, SnapshotsOpenOrAreRefusedByVersion) {
    for (const Wrote& old : kOld) {
        SCOPED_TRACE(old.commit);
        const fs::path path = kFolder / old.commit / "guest.snapshot";
        const auto machine = machine_with_guest();
        const u64 before = machine->hash();
        const std::string message = message_of(load(*machine, path));
        if (old.snapshot != nullptr) {
            EXPECT_NE(message.find(path.string()), std::string::npos) << message;
            EXPECT_NE(message.find(old.snapshot), std::string::npos) << message;
            EXPECT_EQ(machine->hash(), before);
        } else if (firmware_of(path) != checksum(embedded_firmware())) {
            EXPECT_NE(message.find("the saved machine has the firmware of a build"), std::string::npos) << message;
            GTEST_SKIP() << "the firmware is another than the one of " << old.commit << ": refused by name";
        } else {
            ASSERT_EQ(message, "");
            EXPECT_EQ(machine->instructions(), kSavedAt);
            machine->run({kNever, 5 * kSavedAt});
            const auto straight = machine_with_guest();
            straight->run({kNever, 5 * kSavedAt});
            EXPECT_EQ(machine->hash(), straight->hash());
        }
    }
}

// Of each commit that wrote one: why it is refused (nullptr: it opens).
constexpr std::pair<const char*, const char*> kOldRecordings[] = {{"6f55160", nullptr}};

TEST(OldFiles, RecordingsAreDoneAgainOrRefusedByName) {
    for (const auto& [commit, refused] : kOldRecordings) {
        SCOPED_TRACE(commit);
        const auto recording = Recording::open(kFolder / commit / "guest.recording");
        if (refused != nullptr) {
            ASSERT_FALSE(recording.ok());
            EXPECT_NE(recording.error().message.find(refused), std::string::npos) << recording.error().message;
            continue;
        }
        ASSERT_TRUE(recording.ok()) << recording.error().message;
        EXPECT_EQ((*recording)->damage(), "");
        EXPECT_EQ((*recording)->end().instructions, kSavedAt);
        EXPECT_EQ(events_by_kind((*recording)->events()).at("page_fault"), 4u);
        const auto names = (*recording)->names();
        EXPECT_TRUE(names.ok() && names->symbols.empty() && names->profile_name.empty()) << "it has no such chunks";
        const auto again = replay(**recording, EngineKind::Block);
        if ((*recording)->run().firmware != checksum(embedded_firmware())) {
            ASSERT_FALSE(again.ok());
            EXPECT_NE(again.error().message.find("with another firmware"), std::string::npos) << again.error().message;
            GTEST_SKIP() << "the firmware is another than the one of " << commit << ": refused by name";
        }
        ASSERT_TRUE(again.ok()) << again.error().message;
        EXPECT_TRUE(again->equal);
        EXPECT_EQ(again->hashes, 2u);
    }
}

TEST(Versions, OfEachSectionOfASnapshotAreChecked) {
    const auto session = traced_session();
    Machine& machine = session->machine();
    machine.run({kNever, kSavedAt});
    const Snapshot good = machine.snapshot();
    const u64 before = machine.hash();
    ASSERT_TRUE(machine.restore(good).ok());
    u32 parts = 0;
    for (std::size_t i = 0; i < good.sections().size(); ++i) {
        const std::string& name = good.sections()[i].name;
        const bool part = name.starts_with("part.");
        parts += part;
        for (const u32 version : kOtherVersions) {
            const u32 ours = good.sections()[i].version;
            if (version == ours)
                continue;
            Snapshot other = good;
            other.sections()[i].version = version;
            other.sections()[i].bytes = {1, 2, 3}; // it is not looked at
            const auto restored = machine.restore(other);
            EXPECT_EQ(message_of(restored), part ? ""
                                                 : fmt::format("its section '{}' has version {}; this program reads "
                                                               "version {}; save it again",
                                                               name, version, ours));
            EXPECT_EQ(machine.restored_without(part ? name.substr(5) : name), part);
            EXPECT_EQ(machine.hash(), before);
            ASSERT_TRUE(machine.restore(good).ok());
        }
    }
    EXPECT_GE(parts, 2u);
}

// The version decides before the machine is compared: no option helps against it.
TEST(Versions, AreCheckedBeforeTheMachineIsCompared) {
    const auto saved = machine_with_guest();
    Snapshot other = saved->snapshot();
    other.sections()[1].version = 9;
    MachineConfig config = small_machine();
    config.cpu = CpuModel::I486;
    auto machine = Machine::create(std::move(config));
    ASSERT_TRUE(machine.ok());
    EXPECT_EQ(message_of((*machine)->restore(other)),
              fmt::format("its section 'cpu' has version 9; this program reads version {}; save it again",
                          saved->snapshot().sections()[1].version));
}

TEST(Versions, OfEachChunkOfATraceAreChecked) {
    using namespace trace_layout;
    const fs::path path = temporary("version.trace");
    Packer packer(1);
    const std::vector<TraceEvent> events(3);
    const std::vector<u8> body = pack_events(packer, events);
    const auto write = [&](std::initializer_list<u32> versions) {
        auto file = ChunkFileWriter::create(path, kTraceFile, {});
        EXPECT_TRUE(file.ok());
        EventSpan span;
        span.events = 3;
        for (const u32 version : versions) {
            ChunkLabel label;
            std::memcpy(label.data(), &span, sizeof span);
            EXPECT_TRUE(file->append(kEventsType, version, label, body, Packing::None).ok());
            EXPECT_TRUE(file->append(chunk_type("NEWS"), version, {}, body, Packing::None).ok()); // passed over
            span.first_event += 3;
        }
        EXPECT_TRUE(file->finish().ok());
    };
    write({kEventsVersion, kEventsVersion});
    auto good = TraceFileReader::open(path);
    ASSERT_TRUE(good.ok());
    EXPECT_EQ(good->damage(), "");
    EXPECT_EQ(good->event_count(), 6u);
    EXPECT_EQ(events_by_kind(*good).size(), 1u);
    for (const u32 version : kOtherVersions) {
        if (version == kEventsVersion)
            continue;
        for (const bool first : {true, false}) {
            write({first ? version : kEventsVersion, first ? kEventsVersion : version});
            const auto trace = TraceFileReader::open(path);
            ASSERT_FALSE(trace.ok()) << version;
            EXPECT_EQ(trace.error().message,
                      fmt::format("'{}' has events of version {}; this program reads version {}; record it again",
                                  path.string(), version, kEventsVersion));
        }
    }
    fs::remove(path);
}

TEST(Versions, AreThoseOfTheTable) {
    const auto session = traced_session();
    const Snapshot snapshot = session->machine().snapshot();
    std::string others;
    for (const SnapshotSection& section : snapshot.sections())
        if (section.version != 1)
            others += fmt::format(", `{}` {}", section.name, section.version);
    const std::string row = fmt::format("\n| {} | {} | {} | {} | 1{} |", FORKSCOPE_VERSION, kTraceFile.version,
                                        trace_layout::kEventsVersion, kSnapshotFile.version, others);
    const std::vector<u8> page = bytes_of(FORKSCOPE_VERSIONS_PAGE);
    EXPECT_NE(std::string(page.begin(), page.end()).find(row), std::string::npos) << "is not there:" << row;
}

} // namespace forkscope
