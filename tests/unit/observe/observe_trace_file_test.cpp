#include <csignal>
#include <cstring>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "emu/base/random.hpp"
#include "emu/base/sinks.hpp"
#include "emu/base/trace_vocabulary.hpp"
#include "emu/trace/last_events.hpp"
#include "emu/trace/trace_columns.hpp"
#include "emu/trace/trace_file.hpp"
#include "emu/trace/trace_text.hpp"
#include "guest/abi/tracepoints.h"
#include "sinks_for_tests.hpp"
#include "tests/unit/files/peak_memory.hpp"

using namespace forkscope;

namespace {

std::string info_of(const TraceFileReader& trace) {
    std::string text;
    (void)trace_info(trace, [&](std::string_view part) { text += part; });
    return text;
}

TraceEvent event_number(u64 i, Random& random) {
    TraceEvent event;
    event.instructions = i * 5 + random.below(4);
    event.cycle = i * 11;
    event.eip = 0xC0100000u + static_cast<u32>(random.below(4096));
    event.address_space = static_cast<u32>(random.below(3)) << 12;
    event.kind = static_cast<TraceKind>(random.below(static_cast<u64>(TraceKind::Count)));
    event.cpl = static_cast<u8>(random.below(4));
    event.a = random.next() >> random.below(64);
    event.b = random.below(7);
    event.c = random.next();
    event.d = ~u64{0} - i;
    return event;
}

std::string path_of(const char* name) {
    return ::testing::TempDir() + std::to_string(::getpid()) + "_forkscope_" + name + ".trace";
}

std::vector<TraceEvent> record(const std::string& path, u64 count) {
    TraceHeader header;
    header.set("machine", "cpu=pentium ram=64M");
    header.set("seed", "42");
    auto writer = TraceFileWriter::create(path, header);
    EXPECT_TRUE(writer.ok());
    Random random(count);
    std::vector<TraceEvent> events;
    for (u64 i = 0; i < count; ++i) {
        events.push_back(event_number(i, random));
        (*writer)->on_event(events.back());
    }
    EXPECT_TRUE((*writer)->finish().ok());
    EXPECT_EQ((*writer)->events_written(), count);
    return events;
}

std::vector<u8> bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool same(const TraceEvent& a, const TraceEvent& b) {
    return a.instructions == b.instructions && a.cycle == b.cycle && a.eip == b.eip &&
           a.address_space == b.address_space && a.kind == b.kind && a.cpl == b.cpl && a.cpu == b.cpu && a.a == b.a &&
           a.b == b.b && a.c == b.c && a.d == b.d;
}

std::vector<TraceEvent> events_of(const TraceFileReader& reader) {
    std::vector<TraceEvent> events;
    (void)reader.for_each([&](const TraceEvent& event) {
        events.push_back(event);
        return true;
    });
    return events;
}

} // namespace

TEST(TraceFile, GivesBackEveryFieldOfEveryEvent) {
    const std::string path = path_of("round_trip");
    const auto expected = record(path, 2 * kTraceEventsPerChunk + 777);
    auto reader = TraceFileReader::open(path);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_TRUE(reader->complete());
    EXPECT_EQ(reader->chunks().size(), 3u);
    EXPECT_EQ(*reader->header().get("seed"), "42");
    EXPECT_EQ(*reader->header().get("schema"), trace_schema());
    const auto events = events_of(*reader);
    ASSERT_EQ(events.size(), expected.size());
    for (std::size_t i = 0; i < events.size(); ++i)
        ASSERT_TRUE(same(events[i], expected[i])) << i;
    std::remove(path.c_str());
}

TEST(TraceFile, IsTheSameBytesForTheSameRun) {
    record(path_of("one"), 5000);
    record(path_of("two"), 5000);
    EXPECT_EQ(bytes_of(path_of("one")), bytes_of(path_of("two")));
    std::remove(path_of("one").c_str());
    std::remove(path_of("two").c_str());
}

TEST(TraceFile, OpensUpToTheLastWholeChunkWhereverItWasCut) {
    const std::string path = path_of("cut");
    const auto expected = record(path, kTraceEventsPerChunk + 10);
    const auto bytes = bytes_of(path);
    auto whole = TraceFileReader::from_bytes(bytes);
    ASSERT_TRUE(whole.ok());
    constexpr u64 kHead = 96;
    const u64 first = whole->chunks()[0].chunk.offset;
    const u64 second = whole->chunks()[1].chunk.offset;
    const u64 end = second + kHead + whole->chunks()[1].chunk.stored_bytes;
    for (u64 size = 0; size<bytes.size(); size += size + 2048> second || size < first + 200 ? 1 : 4093) {
        auto reader = TraceFileReader::from_bytes({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
        if (size < first) {
            EXPECT_FALSE(reader.ok()) << size;
            continue;
        }
        ASSERT_TRUE(reader.ok()) << size;
        EXPECT_FALSE(reader->complete());
        EXPECT_FALSE(reader->damage().empty());
        const u64 count = size < second ? 0 : size < end ? kTraceEventsPerChunk : kTraceEventsPerChunk + 10;
        ASSERT_EQ(reader->event_count(), count) << size;
    }
    auto reader = TraceFileReader::from_bytes({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(end)});
    EXPECT_TRUE(same(events_of(*reader).back(), expected.back()));
    std::remove(path.c_str());
}

TEST(TraceFile, NeverTakesDamagedBytesForEvents) {
    const std::string path = path_of("flips");
    const auto expected = record(path, 300);
    const auto bytes = bytes_of(path);
    Random random(3);
    for (int round = 0; round < 20000; ++round) {
        auto damaged = bytes;
        const u64 at = random.below(damaged.size());
        damaged[at] = static_cast<u8>(damaged[at] ^ (1u << random.below(8)));
        auto reader = TraceFileReader::from_bytes(damaged);
        if (!reader)
            continue;
        const auto events = events_of(*reader);
        ASSERT_TRUE(events.empty() || events.size() == expected.size());
        for (std::size_t i = 0; i < events.size(); ++i)
            ASSERT_TRUE(same(events[i], expected[i])) << "byte " << at;
        (void)info_of(*reader);
    }
    for (int round = 0; round < 5000; ++round) {
        std::vector<u8> noise(random.below(600));
        for (u8& byte : noise)
            byte = static_cast<u8>(random.next());
        std::copy_n(bytes.begin(), std::min<std::size_t>(noise.size(), 12), noise.begin());
        auto reader = TraceFileReader::from_bytes(noise);
        if (reader)
            (void)events_of(*reader);
    }
    std::remove(path.c_str());
}

TEST(TraceFile, FindsTheOtherChunksByTheIndexWhenAHeadIsDamaged) {
    const std::string path = path_of("head");
    record(path, 2 * kTraceEventsPerChunk + 5);
    auto bytes = bytes_of(path);
    auto whole = TraceFileReader::from_bytes(bytes);
    bytes[whole->chunks()[1].chunk.offset + 96] ^= 1; // the body
    auto reader = TraceFileReader::from_bytes(bytes);
    ASSERT_TRUE(reader.ok());
    u64 count = 0;
    const Result<void> read = reader->for_each([&](const TraceEvent&) { return ++count > 0; });
    EXPECT_FALSE(read.ok());
    EXPECT_NE(read.error().message.find("chunk 1"), std::string::npos);
    EXPECT_EQ(count, kTraceEventsPerChunk + 5u);
    std::remove(path.c_str());
}

TEST(TraceFile, ReportsAFullDevice) {
    if (access("/dev/full", W_OK) != 0)
        GTEST_SKIP() << "no /dev/full here";
    auto writer = TraceFileWriter::create("/dev/full", {});
    ASSERT_FALSE(writer.ok());
    EXPECT_NE(writer.error().message.find("No space left"), std::string::npos);
    EXPECT_NE(writer.error().message.find("free some space"), std::string::npos);
    EXPECT_FALSE(TraceFileWriter::create("/nowhere/at/all.trace", {}).ok());
}

TEST(TraceFile, KeepsWhatWasWrittenWhenTheSpaceRunsOut) {
    const std::string path = path_of("limit");
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1u << 20, 1u << 20};
        setrlimit(RLIMIT_FSIZE, &limit);
        auto writer = TraceFileWriter::create(path, {});
        Random random(1);
        for (u64 i = 0; i < 3 * kTraceEventsPerChunk; ++i)
            (*writer)->on_event(event_number(i, random));
        const Result<void> end = (*writer)->finish();
        const bool good = !end.ok() && (*writer)->failed() && (*writer)->events_lost() > 0 &&
                          (*writer)->events_lost() + (*writer)->events_written() == 3 * kTraceEventsPerChunk &&
                          end.error().message.find("are lost") != std::string::npos &&
                          end.error().message.find("File too large") != std::string::npos;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    auto reader = TraceFileReader::open(path);
    ASSERT_TRUE(reader.ok()) << reader.error().message;
    EXPECT_FALSE(reader->complete());
    EXPECT_EQ(reader->event_count() % kTraceEventsPerChunk, 0u);
    EXPECT_EQ(events_of(*reader).size(), reader->event_count());
    std::remove(path.c_str());
}

TEST(TraceFile, TakesItsNameWithTheFirstEvent) {
    const std::string path = path_of("older");
    record(path, 10);
    const auto before = bytes_of(path);
    // A run that fails before it starts: a window that cannot be opened, say.
    ASSERT_TRUE(TraceFileWriter::create(path, {}).ok());
    EXPECT_EQ(bytes_of(path), before);
    {
        auto writer = TraceFileWriter::create(path, {});
        EXPECT_EQ(bytes_of(path), before);
        (*writer)->on_event({});
        auto begun = TraceFileReader::open(path);
        ASSERT_TRUE(begun.ok());
        EXPECT_FALSE(begun->complete());
        EXPECT_EQ(begun->event_count(), 0u);
    }
    EXPECT_EQ(TraceFileReader::open(path)->event_count(), 1u);
    // A run without events is a run.
    ASSERT_TRUE((*TraceFileWriter::create(path, {}))->finish().ok());
    EXPECT_EQ(TraceFileReader::open(path)->event_count(), 0u);
    EXPECT_TRUE(TraceFileReader::open(path)->complete());
    std::remove(path.c_str());
}

TEST(TraceFile, SaysWhatIsWrongWithOtherFiles) {
    const std::string path = path_of("other");
    std::ofstream(path) << "this is no trace at all, but long enough for a header";
    auto reader = TraceFileReader::open(path);
    ASSERT_FALSE(reader.ok());
    EXPECT_NE(reader.error().message.find("not a Forkscope trace"), std::string::npos);
    EXPECT_FALSE(TraceFileReader::open("/nowhere.trace").ok());
    EXPECT_FALSE(TraceFileReader::open("/tmp").ok());
    // The first bytes of a trace as version 1 had them.
    std::ofstream(path, std::ios::binary) << std::string("FSTRACE\n\1\0\0\0\4\0\0\0\0\0\0\0", 20);
    reader = TraceFileReader::open(path);
    ASSERT_FALSE(reader.ok());
    EXPECT_EQ(reader.error().message, "'" + path +
                                          "' is a trace of version 1; this program reads version 2; record it "
                                          "again");
    std::remove(path.c_str());
}

// Right checksums over wrong contents: nobody's trace, but anybody can make one.
TEST(TraceFile, ThatLiesWithRightChecksumsHarmsNobody) {
    using namespace trace_layout;
    const std::string path = path_of("lies");
    Random random(9);
    std::vector<TraceEvent> events;
    for (u64 i = 0; i < 400; ++i)
        events.push_back(event_number(i, random));
    Packer packer(1);
    const std::vector<u8> good = pack_events(packer, events);
    std::size_t accepted = 0;
    for (int round = 0; round < 500; ++round) {
        auto file = ChunkFileWriter::create(path, kTraceFile, {});
        ASSERT_TRUE(file.ok());
        ASSERT_TRUE(file->take_name().ok()); // so that nothing waits for the disk
        for (u64 chunk = 0; chunk < 1 + random.below(3); ++chunk) {
            EventSpan span;
            span.events = random.below(4) == 0 ? static_cast<u32>(random.next() >> random.below(64)) : 400;
            span.columns = random.below(9) == 0 ? static_cast<u32>(random.below(20)) : kColumns;
            span.first_event = random.below(6) == 0 ? random.next() : chunk * 400;
            ChunkLabel label;
            std::memcpy(label.data(), &span, sizeof span);
            std::vector<u8> body = good;
            for (u64 i = random.below(3); i > 0; --i)
                body[random.below(random.below(2) == 0 ? 88 : body.size())] = static_cast<u8>(random.next());
            if (random.below(8) == 0)
                body.resize(random.below(body.size()));
            ASSERT_TRUE(file->append(kEventsType, kEventsVersion, label, body, Packing::None).ok());
        }
        ASSERT_TRUE(file->finish().ok());
        auto reader = TraceFileReader::open(path);
        ASSERT_TRUE(reader.ok());
        accepted += events_of(*reader).size();
        EXPECT_FALSE(info_of(*reader).empty());
    }
    EXPECT_GT(accepted, 0u);
    std::remove(path.c_str());
}

TEST(TraceFile, OfEventsThatAreAllAlikeTakesLittleMemory) {
    using namespace trace_layout;
    const std::string path = path_of("bomb");
    auto file = ChunkFileWriter::create(path, kTraceFile, {});
    ASSERT_TRUE(file.ok());
    Packer packer(1);
    const std::vector<u8> body = pack_events(packer, std::vector<TraceEvent>(kMostEvents));
    for (u64 chunk = 0; chunk < 40; ++chunk) {
        EventSpan span;
        span.events = kMostEvents;
        span.first_event = chunk * kMostEvents;
        ChunkLabel label;
        std::memcpy(label.data(), &span, sizeof span);
        ASSERT_TRUE(file->append(kEventsType, kEventsVersion, label, body, Packing::None).ok());
    }
    ASSERT_TRUE(file->finish().ok());
    EXPECT_LT(bytes_of(path).size(), 100'000u);
    const i64 taken = peak_megabytes([&] {
        auto reader = TraceFileReader::open(path);
        u64 count = 0;
        const auto read = reader->for_each([&](const TraceEvent&) { return ++count > 0; });
        EXPECT_EQ(count, 40 * kMostEvents);
        EXPECT_TRUE(read.ok());
    });
    EXPECT_GT(taken, 1);
    EXPECT_LE(taken, 64);
    std::remove(path.c_str());
}

TEST(TraceText, PrintsOneStableLineAnEvent) {
    TraceEvent event;
    event.instructions = 12;
    event.cycle = 345;
    event.eip = 0xC0101234;
    event.address_space = 0x00300000;
    event.kind = TraceKind::TlbFlush;
    event.a = 1;
    event.b = 0x00400000;
    event.c = 1;
    EXPECT_EQ(trace_event_line(event), "          12            345 eip=c0101234 cr3=00300000 cpl=0 tlb_flush "
                                       "reason=invlpg address=0x400000 dropped=1");
    event.kind = TraceKind::Tracepoint;
    event.a = TP_FORK_ENTER;
    event.b = 3;
    EXPECT_EQ(trace_event_line(event), "          12            345 eip=c0101234 cr3=00300000 cpl=0 guest_tracepoint "
                                       "id=fork_enter parent=3 child=1 pages=0");
    EXPECT_EQ(trace_kind_named("pte_write"), TraceKind::PteWrite);
    EXPECT_EQ(trace_kind_named("Page_Fault"), TraceKind::PageFault);
    EXPECT_EQ(trace_kind_named("nothing"), std::nullopt);
}

// What an event's line says behind the kind's name.
std::string arguments_of(TraceKind kind, u64 a, u64 b = 0, u64 c = 0, u64 d = 0) {
    TraceEvent event;
    event.kind = kind;
    event.a = a, event.b = b, event.c = c, event.d = d;
    const std::string line = trace_event_line(event);
    const std::string name = fmt::format(" {} ", trace_kind_info(kind).name);
    return line.substr(line.find(name) + name.size());
}

TEST(TraceText, WritesEachValueAsItsTypeHasIt) {
    EXPECT_EQ(arguments_of(TraceKind::TlbFill, 0x8048000, 0x123067, 0x1203, 2),
              "linear=0x8048000 entry=0x123067 way=3 set=18 array=instruction_4k");
    EXPECT_EQ(arguments_of(TraceKind::Interrupt, 128, 0, interrupt_source(InterruptCause::Software, 3), 0x1000),
              "vector=128 error_code=0x0 cause=software from_cpl=3 from_eip=0x1000");
    EXPECT_EQ(arguments_of(TraceKind::PteWrite, 0x105000, 0x107, 0x105, 1),
              "entry_address=0x105000 old=0x107 new=0x105 level=1");
    EXPECT_EQ(arguments_of(TraceKind::TlbFlush, 99), "reason=0x63 address=0x0 dropped=0") << "a newer file's reason";
}

TEST(TraceText, WritesATracepointsArgumentsAsItsRowNamesThem) {
    EXPECT_EQ(arguments_of(TraceKind::Tracepoint, TP_FRAME_ALLOC, 0x105000, 1, FRAME_PAGE_TABLE),
              "id=frame_alloc frame=0x105000 references=1 use=page_table");
    EXPECT_EQ(arguments_of(TraceKind::Tracepoint, TP_FAULT_LEAVE, 7, 0x8048000, FAULT_COW_COPY),
              "id=fault_leave pid=7 address=0x8048000 class=cow-copy");
    EXPECT_EQ(arguments_of(TraceKind::Tracepoint, TP_FORK_LEAVE, 7, 0, 0xFFFFFFF4),
              "id=fork_leave parent=7 child=0 result=-12");
    EXPECT_EQ(arguments_of(TraceKind::Tracepoint, 0x99, 1, 2, 3), "id=tracepoint_0x99 arg0=0x1 arg1=0x2 arg2=0x3");
}

TEST(TraceText, FiltersTheDumpAndCountsInTheStat) {
    const std::string path = path_of("text");
    const auto events = record(path, 1000);
    auto reader = TraceFileReader::open(path);
    std::string text;
    TraceDumpOptions options;
    options.kinds = {TraceKind::PteWrite};
    ASSERT_TRUE(trace_dump(*reader, options, [&](std::string_view part) { text += part; }).ok());
    u64 expected = 0;
    for (const TraceEvent& event : events)
        expected += event.kind == TraceKind::PteWrite ? 1 : 0;
    EXPECT_EQ(static_cast<u64>(std::count(text.begin(), text.end(), '\n')), expected);
    std::string stat;
    ASSERT_TRUE(trace_stat(*reader, [&](std::string_view part) { stat += part; }).ok());
    EXPECT_NE(stat.find("1000 events"), std::string::npos);
    EXPECT_NE(stat.find(fmt::format("{:>12}  pte_write\n", expected)), std::string::npos);
    EXPECT_NE(info_of(*reader).find("ended      in order"), std::string::npos);
    std::remove(path.c_str());
}

TEST(Sinks, BroadcastFilterAndKeepTheLast) {
    LastEvents last(4);
    EventCounts counts;
    FilterSink filter(counts, [](const TraceEvent& event) { return event.kind == TraceKind::Halt; });
    SinkList list;
    list.add(last);
    list.add(filter);
    for (u64 i = 0; i < 10; ++i) {
        TraceEvent event;
        event.instructions = i;
        event.kind = i % 2 == 0 ? TraceKind::Halt : TraceKind::Cr3Load;
        list.on_event(event);
    }
    ASSERT_EQ(last.events().size(), 4u);
    EXPECT_EQ(last.events().front().instructions, 6u);
    EXPECT_EQ(last.events().back().instructions, 9u);
    EXPECT_EQ(counts.of(TraceKind::Halt), 5u);
    EXPECT_EQ(counts.total(), 5u);
    EXPECT_NE(last.text().find("cr3_load"), std::string::npos);
}
