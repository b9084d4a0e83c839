// A machine saved anywhere and loaded elsewhere is the same machine, byte for byte; what does not fit is refused whole.
#include "guest_machine.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "emu/base/random.hpp"
#include "emu/files/chunk_file.hpp"
#include "emu/session/snapshot_file.hpp"
#include "tests/unit/files/peak_memory.hpp"

namespace forkscope {

namespace {

constexpr const char* kWorkload = "run=forkdemo --child 20 --parent 3; ls bin | wc; cowtest";
constexpr u64 kWorkloadInstructions = 1'400'000; // about, with any kernel

struct Setup {
    const char* name;
    CpuModel cpu;
    TlbStudy tlb;
    CostModelKind clock;
};

void PrintTo(const Setup& setup, std::ostream* out) { *out << setup.name; }

constexpr Setup kSetups[] = {
    {"p6", CpuModel::P6, TlbStudy::Model, CostModelKind::Flat},
    {"pentium_caches", CpuModel::Pentium, TlbStudy::Model, CostModelKind::Cache},
    {"i486_random_model", CpuModel::I486, TlbStudy::Random, CostModelKind::Model},
    {"p6_infinite_caches", CpuModel::P6, TlbStudy::Infinite, CostModelKind::Cache},
};

using Place = std::tuple<Setup, std::string>;

GuestMachine machine_of(const Place& place, const std::string& command_line, EngineKind engine = EngineKind::Block) {
    return GuestMachine(
        command_line,
        [&](MachineConfig& config) {
            config.cpu = std::get<0>(place).cpu;
            config.tlb = std::get<0>(place).tlb;
            config.tlb_seed = std::get<0>(place).tlb == TlbStudy::Random ? 7 : 0;
            config.clock = std::get<0>(place).clock;
            config.engine = engine;
        },
        std::get<1>(place));
}

// Any difference of what two machines would save, as text.
std::string differences(Machine& machine, Machine& expected) {
    std::string text;
    for (const std::string& line : machine.differences(expected.snapshot()))
        text += line + "\n";
    return text;
}

int rounds() { return std::getenv("FORKSCOPE_LONG") != nullptr ? 60 : 2; }

Result<void> load_file(Machine& machine, const std::string& path) {
    const auto file = SnapshotFile::open(path, machine.config().ram_bytes);
    return file.ok() ? file->load(machine) : Result<void>(file.error());
}

Result<void> load_bytes(Machine& machine, std::vector<u8> bytes) {
    const auto file = SnapshotFile::from_bytes(std::move(bytes), "F");
    return file.ok() ? file->load(machine) : Result<void>(file.error());
}

class SnapshotOf : public ::testing::TestWithParam<Place> {};

std::string temporary(const std::string& name) {
    return ::testing::TempDir() + std::to_string(::getpid()) + "_" + name;
}

} // namespace

// The straight run stops nowhere; the other is saved at N by one engine, loaded over a machine that was elsewhere, and
// run on by the other engine.
TEST_P(SnapshotOf, AnyPlaceRunsOnToTheSameBytes) {
    const std::string path = temporary("place.snapshot");
    Random random(29);
    for (int round = 0; round < rounds(); ++round) {
        const u64 at = 1000 + random.below(kWorkloadInstructions);
        const u64 end = at + random.below(300'000);
        auto straight = machine_of(GetParam(), kWorkload);
        straight.machine->run({kNever, end});

        auto first = machine_of(GetParam(), kWorkload, round % 2 == 0 ? EngineKind::Block : EngineKind::Interpreter);
        first.machine->run({kNever, at});
        const auto saved = save_snapshot(*first.machine, path);
        ASSERT_TRUE(saved.ok()) << saved.error().message;
        auto second = machine_of(GetParam(), kWorkload, round % 2 == 0 ? EngineKind::Interpreter : EngineKind::Block);
        second.machine->run({kNever, random.below(500'000)});
        const auto loaded = load_file(*second.machine, path);
        ASSERT_TRUE(loaded.ok()) << loaded.error().message;
        EXPECT_EQ(differences(*second.machine, *first.machine), "") << "saved at " << at;
        EXPECT_EQ(second.machine->hash(), first.machine->hash());
        second.machine->run({kNever, end});
        EXPECT_EQ(differences(*second.machine, *straight.machine), "") << "saved at " << at << ", run to " << end;
        EXPECT_EQ(second.machine->hash(), straight.machine->hash());
    }
    std::filesystem::remove(path);
}

// Types a command line and runs until a while after its last key; returns when that was.
Cycles type_all(GuestMachine& guest) {
    constexpr Cycles kMost = 400'000'000;
    constexpr Cycles kAfterwards = 3'000'000;
    EXPECT_TRUE(guest.machine->type("ls bin\nforkdemo\n").ok());
    while (guest.machine->typing() && guest.machine->now() < kMost)
        guest.machine->run({guest.machine->now() + kAfterwards, ~u64{0}});
    EXPECT_FALSE(guest.machine->typing()) << guest.console;
    guest.machine->run({guest.machine->now() + kAfterwards, ~u64{0}});
    return guest.machine->now();
}

// Keys that --type still owes, and the log of those before, are part of it.
TEST_P(SnapshotOf, AMachineThatIsBeingTypedAtTypesOn) {
    auto straight = machine_of(GetParam(), "quiet");
    const Cycles end = type_all(straight);

    auto first = machine_of(GetParam(), "quiet");
    ASSERT_TRUE(first.machine->type("ls bin\nforkdemo\n").ok());
    while (first.console.find("ls b") == std::string::npos && first.machine->typing())
        first.machine->run({first.machine->now() + 10'000, ~u64{0}});
    ASSERT_TRUE(first.machine->typing());
    auto second = machine_of(GetParam(), "quiet");
    ASSERT_TRUE(second.machine->type("never").ok());
    ASSERT_TRUE(second.machine->restore(first.machine->snapshot()).ok());
    second.machine->run({end, ~u64{0}});
    EXPECT_EQ(differences(*second.machine, *straight.machine), "");
    EXPECT_EQ(first.console + second.console, straight.console);
}

// What is still to come is whoever's who replays: the snapshot says how much came before.
TEST_P(SnapshotOf, AReplayGoesOnWithTheInputsStillToCome) {
    auto typed = machine_of(GetParam(), "quiet");
    Random random(43);
    typed.machine->run({kNever, 600'000});
    for (int i = 0; i < 30; ++i) {
        typed.machine->inject({.kind = InputKind::SerialByte, .data = 'a' + random.below(26)});
        typed.machine->run({typed.machine->now() + 1 + random.below(200'000), ~u64{0}});
    }
    const Cycles end = typed.machine->now() + 3'000'000;
    typed.machine->run({end, ~u64{0}});
    const auto& inputs = typed.machine->inputs().events();

    auto first = machine_of(GetParam(), "quiet", EngineKind::Interpreter);
    first.machine->replay(typed.machine->inputs());
    first.machine->run({inputs[inputs.size() / 3].cycle, ~u64{0}});
    ASSERT_TRUE(first.machine->replaying());
    auto second = machine_of(GetParam(), "quiet");
    ASSERT_TRUE(second.machine->restore(first.machine->snapshot()).ok());
    const auto done = static_cast<std::ptrdiff_t>(second.machine->inputs().events().size());
    second.machine->replay(InputLog({inputs.begin() + done, inputs.end()}));
    second.machine->run({end, ~u64{0}});
    EXPECT_EQ(differences(*second.machine, *typed.machine), "");
}

INSTANTIATE_TEST_SUITE_P(BySetupAndKernel, SnapshotOf,
                         ::testing::Combine(::testing::ValuesIn(kSetups), ::testing::ValuesIn(embedded_kernel_names())),
                         [](const auto& place) {
                             return std::get<1>(place.param) + "_" + std::get<0>(place.param).name;
                         });

// The guest's kernels want a 486; firmware and boot are enough to fill the queue of a 386.
TEST(Snapshot, KeepsThePrefetchQueueOfA386) {
    Random random(37);
    for (const BusWidth bus : {BusWidth::Bits16, BusWidth::Bits32}) {
        const auto machine = [bus](EngineKind engine) {
            return GuestMachine("", [&](MachineConfig& config) {
                config.cpu = CpuModel::I386;
                config.clock = CostModelKind::Model;
                config.bus = bus;
                config.engine = engine;
            });
        };
        auto straight = machine(EngineKind::Block);
        straight.machine->run({kNever, 40'000});
        ASSERT_EQ(straight.machine->instructions(), 40'000u);
        for (int round = 0; round < 4 * rounds(); ++round) {
            auto first = machine(round % 2 == 0 ? EngineKind::Block : EngineKind::Interpreter);
            first.machine->run({kNever, 1000 + random.below(35'000)});
            auto second = machine(round % 2 == 0 ? EngineKind::Interpreter : EngineKind::Block);
            ASSERT_TRUE(second.machine->restore(first.machine->snapshot()).ok());
            second.machine->run({kNever, 40'000});
            EXPECT_EQ(differences(*second.machine, *straight.machine), "");
        }
    }
}

TEST(Snapshot, KeepsHitsAndFillersOfTranslations) {
    const auto counted = [] {
        GuestMachine guest(kWorkload);
        guest.machine->mmu().set_count_hits(true);
        return guest;
    };
    auto straight = counted();
    straight.machine->run({kNever, 900'000});
    auto first = counted();
    first.machine->run({kNever, 700'000});
    auto second = counted();
    ASSERT_TRUE(second.machine->restore(first.machine->snapshot()).ok());
    second.machine->run({kNever, 900'000});
    EXPECT_EQ(differences(*second.machine, *straight.machine), "");
    EXPECT_GT(second.machine->mmu().counters().tlb_hits[0], 100'000u);
    u64 hits = 0;
    u64 fillers = 0;
    second.machine->mmu().tlb().for_each_valid(TlbArray::Data4K, [&](const TlbPlace& place) {
        hits += second.machine->mmu().tlb().entry(place).hits;
        fillers += second.machine->mmu().tlb().entry(place).filled_by != 0 ? 1 : 0;
    });
    EXPECT_GT(hits, 0u);
    EXPECT_GT(fillers, 0u);
}

// Going back before a breakpoint and reaching it at the same count again stops again; standing on it does not.
TEST(Snapshot, KnowsWhichBreakpointWasReported) {
    GuestMachine guest("");
    guest.machine->run({kNever, 20'000});
    const Snapshot before = guest.machine->snapshot();
    guest.machine->run({kNever, 30'000});
    const u32 address = guest.machine->cpu().linear_eip();
    ASSERT_TRUE(guest.machine->restore(before).ok());
    guest.machine->breakpoints().add(guest.machine->breakpoints().new_owner(), address);
    ASSERT_EQ(guest.machine->run({kNever, 40'000}).kind, StopKind::Breakpoint);
    const u64 at = guest.machine->instructions();
    ASSERT_TRUE(guest.machine->restore(before).ok());
    ASSERT_EQ(guest.machine->run({kNever, 40'000}).kind, StopKind::Breakpoint);
    EXPECT_EQ(guest.machine->instructions(), at);

    GuestMachine other("");
    other.machine->breakpoints().add(other.machine->breakpoints().new_owner(), address);
    ASSERT_TRUE(other.machine->restore(guest.machine->snapshot()).ok());
    other.machine->run({kNever, 40'000});
    EXPECT_GT(other.machine->instructions(), at);
}

TEST(Snapshot, OfAllButMemoryIsSmall) {
    GuestMachine guest(kWorkload);
    guest.machine->run({kNever, 700'000});
    u64 bytes = 0;
    const Snapshot state = guest.machine->state();
    for (const SnapshotSection& section : state.sections()) {
        EXPECT_FALSE(section.name.starts_with("memory"));
        bytes += section.bytes.size();
    }
    EXPECT_LT(bytes, u64{1} << 20);
    EXPECT_EQ(guest.machine->differences(guest.machine->snapshot()), std::vector<std::string>{});
}

TEST(Snapshot, NamesTheFieldsThatDiffer) {
    GuestMachine one("");
    GuestMachine two("");
    one.machine->run({kNever, 200'000});
    two.machine->run({kNever, 200'001});
    const std::string text = differences(*two.machine, *one.machine);
    EXPECT_NE(text.find("cpu.instructions: "), std::string::npos) << text;
    EXPECT_NE(text.find("cpu.registers.eip: "), std::string::npos) << text;
    const u8 byte = 0xA5;
    ASSERT_TRUE(two.machine->mmu().poke_physical(PhysicalAddress(0x700123), {&byte, 1}));
    EXPECT_NE(differences(*two.machine, *one.machine).find("memory.frame_00700.123: 00 -> a5"), std::string::npos);
}

namespace {

// An observer: it counts, and remembers what it was told.
struct Counter {
    struct State {
        u64 count = 0;
        void serialize(Archive& ar) { ar.field("count", count); }
    };
    State state() const { return {count}; }
    void restore(const State* state) {
        restored = true;
        count = state != nullptr ? state->count : 0;
    }
    u64 count = 0;
    bool restored = false;
};

} // namespace

TEST(Snapshot, CarriesTheStatesOfObserversPastTheHash) {
    GuestMachine guest("");
    const u64 hash = guest.machine->hash();
    Counter counter;
    counter.count = 42;
    guest.machine->add_checkpoint_part(checkpoint_part("counter", 3, counter));
    EXPECT_EQ(guest.machine->hash(), hash);
    const Snapshot with = guest.machine->snapshot();

    counter.count = 7;
    ASSERT_TRUE(guest.machine->restore(with).ok());
    EXPECT_EQ(counter.count, 42u);
    EXPECT_FALSE(guest.machine->restored_without("counter"));

    // A machine that nobody watched, and one whose observer kept other things: that there is nothing is said.
    GuestMachine unwatched("");
    ASSERT_TRUE(guest.machine->restore(unwatched.machine->snapshot()).ok());
    EXPECT_TRUE(guest.machine->restored_without("counter"));
    EXPECT_EQ(counter.count, 0u);
    Counter newer;
    GuestMachine changed("");
    changed.machine->add_checkpoint_part(checkpoint_part("counter", 4, newer));
    ASSERT_TRUE(changed.machine->restore(with).ok());
    EXPECT_TRUE(changed.machine->restored_without("counter"));
    EXPECT_TRUE(newer.restored);
    ASSERT_TRUE(unwatched.machine->restore(with).ok()) << "a section that belongs to nobody here is passed over";
}

TEST(Snapshot, WithADamagedObserverTouchesNothing) {
    GuestMachine guest("");
    Counter counter;
    guest.machine->add_checkpoint_part(checkpoint_part("counter", 1, counter));
    Snapshot snapshot = guest.machine->snapshot();
    ASSERT_EQ(snapshot.sections().back().name, "part.counter");
    snapshot.sections().back().bytes.pop_back();
    guest.machine->run({kNever, 1000});
    const Snapshot before = guest.machine->snapshot();
    const auto loaded = guest.machine->restore(snapshot);
    ASSERT_FALSE(loaded.ok());
    EXPECT_NE(loaded.error().message.find("part.counter"), std::string::npos) << loaded.error().message;
    EXPECT_FALSE(counter.restored);
    EXPECT_EQ(guest.machine->differences(before), std::vector<std::string>{});
}

namespace {

// The message with which a machine refuses a snapshot of another one.
std::string refusal(const std::function<void(MachineConfig&)>& saved,
                    const std::function<void(MachineConfig&)>& here = {}, const std::string& saved_os = "lunaix") {
    GuestMachine other("", saved, saved_os);
    GuestMachine guest("", here);
    guest.machine->run({kNever, 10'000});
    const Snapshot before = guest.machine->snapshot();
    const auto loaded = guest.machine->restore(other.machine->snapshot());
    EXPECT_FALSE(loaded.ok());
    EXPECT_EQ(guest.machine->differences(before), std::vector<std::string>{})
        << "a refused snapshot changed the machine";
    return loaded.ok() ? "" : loaded.error().message;
}

} // namespace

TEST(Snapshot, OfAnotherMachineIsRefusedByTheOptionThatDiffers) {
    using Config = MachineConfig;
    EXPECT_EQ(refusal([](Config& c) { c.ram_bytes = u64{32} << 20; }),
              "section 'configuration': the saved machine has -m 32M, this one has -m 64M: give it the same");
    const auto contains = [](const std::string& text, const std::string& saved, const std::string& here) {
        EXPECT_NE(text.find("the saved machine has " + saved + ", this one has " + here), std::string::npos) << text;
    };
    contains(refusal([](Config& c) { c.cpu = CpuModel::I486; }), "--cpu i486", "--cpu p6");
    contains(refusal([](Config& c) { c.clock = CostModelKind::Cache; }), "--clock cache", "--clock flat");
    contains(refusal([](Config& c) {
                 c.tlb = TlbStudy::Random;
                 c.tlb_seed = 5;
             }),
             "--tlb random:5", "--tlb model");
    contains(refusal([](Config& c) { c.cycles_per_second = 33'000'000; }), "a clock of 33000000 Hz",
             "a clock of 100000000 Hz");
    contains(refusal([](Config& c) { c.command_line = "quiet\x1b[2J"; }), "--append 'quiet\\x1b[2J'", "--append ''");
    contains(refusal({}, {}, "minix"), "--os minix", "--os lunaix");
    const auto shorten = [](SharedBytes& image) { image = image.part({image.data(), image.size() - 1}); };
    EXPECT_NE(refusal([&](Config& c) { shorten(c.kernel); }).find("a --kernel with the XXH3 "), std::string::npos);
    contains(refusal([](Config& c) { c.modules.clear(); }), "no --initrd", "the built-in initrd");
    EXPECT_NE(refusal([&](Config& c) { shorten(c.modules[0].bytes); }).find("an --initrd with "), std::string::npos);
    const auto narrow = [](BusWidth bus) {
        return [bus](Config& c) {
            c.cpu = CpuModel::I386;
            c.clock = CostModelKind::Model;
            c.bus = bus;
        };
    };
    contains(refusal(narrow(BusWidth::Bits16), narrow(BusWidth::Bits32)), "--bus 16", "--bus 32");
    // All of them at once.
    const std::string all = refusal(
        [](Config& c) {
            c.cpu = CpuModel::Pentium;
            c.ram_bytes = u64{16} << 20;
        },
        {}, "freebsd");
    contains(all, "-m 16M, --cpu pentium, --os freebsd", "-m 64M, --cpu p6, --os lunaix");
}

TEST(Snapshot, OfAnotherProgramIsRefusedBySection) {
    GuestMachine guest("");
    Snapshot snapshot = guest.machine->snapshot();
    const auto message = [&](const Snapshot& changed) {
        const auto loaded = guest.machine->restore(changed);
        EXPECT_FALSE(loaded.ok());
        return loaded.ok() ? "" : loaded.error().message;
    };
    Snapshot changed = snapshot;
    changed.sections()[1].version = 9;
    EXPECT_EQ(message(changed), "its section 'cpu' has version 9; this program reads version 2; save it again");
    changed = snapshot;
    changed.sections().erase(changed.sections().begin() + 2);
    EXPECT_EQ(message(changed), "it has no section 'mmu'; save it again");
    changed = snapshot;
    changed.add(snapshot.sections()[0]);
    EXPECT_EQ(message(changed), "it has two sections 'configuration'");
    changed = snapshot;
    changed.add({"memory.9999", 1, {}});
    EXPECT_NE(message(changed).find("'memory.9999' lies outside"), std::string::npos);
    changed = snapshot;
    changed.add({"invented", 1, {1, 2, 3}});
    EXPECT_TRUE(guest.machine->restore(changed).ok()) << "an observer's that is not here";
}

namespace {

GuestMachine small_guest() {
    return GuestMachine("", [](MachineConfig& config) { config.ram_bytes = u64{8} << 20; });
}

// A snapshot with wrong contents: what a person with our checksum function could make.
Snapshot forged(Snapshot snapshot, Random& random) {
    auto& sections = snapshot.sections();
    for (u64 changes = 1 + random.below(3); changes > 0; --changes) {
        SnapshotSection& section = sections[random.below(sections.size())];
        std::vector<u8>& bytes = section.bytes;
        switch (random.below(8)) {
        case 0:
            bytes.resize(random.below(bytes.size() + 1));
            break;
        case 1:
            bytes.resize(bytes.size() + random.below(5000), static_cast<u8>(random.next()));
            break;
        case 2:
            section.name = sections[random.below(sections.size())].name;
            break;
        case 3:
            bytes = sections[random.below(sections.size())].bytes;
            break;
        default: // lengths and counts are near the beginning
            for (u64 i = 1 + random.below(4); i > 0 && !bytes.empty(); --i)
                bytes[random.below(random.below(2) == 0 ? std::min<u64>(bytes.size(), 200) : bytes.size())] =
                    static_cast<u8>(random.next() >> random.below(8));
        }
    }
    return snapshot;
}

} // namespace

TEST(Snapshot, WithWrongContentsIsRefusedOrRuns) {
    GuestMachine guest = small_guest();
    ASSERT_TRUE(guest.machine->type("ls\n").ok());
    guest.machine->run({kNever, 200'000});
    const Snapshot whole = guest.machine->snapshot();
    Random random(17);
    int refused = 0;
    int accepted = 0;
    for (int round = 0; round < 150 * rounds(); ++round) {
        const Snapshot bad = forged(whole, random);
        ASSERT_TRUE(guest.machine->restore(whole).ok());
        guest.machine->run({kNever, 200'500});
        const u64 before = guest.machine->hash();
        if (guest.machine->restore(bad).ok()) {
            ++accepted;
        } else {
            ++refused;
            ASSERT_EQ(guest.machine->hash(), before) << "round " << round;
        }
        guest.machine->run({guest.machine->now() + 20'000, guest.machine->instructions() + 2000});
    }
    EXPECT_GT(refused, 20);
    EXPECT_GT(accepted, 5);
}

TEST(Snapshot, ThatLiesAboutItsSizesTakesNoMemory) {
    constexpr i64 kGuest = 8;
    GuestMachine guest = small_guest();
    guest.machine->run({kNever, 200'000});
    const std::string path = temporary("lies.snapshot");
    // The counts of sequences, as large as they can be said to be; then a section of 32 MB.
    const auto begun = [](const std::string& name) {
        return "{" + std::string(1, static_cast<char>(name.size())) + name;
    };
    const std::string everything = "everything";
    for (const std::string& sequence :
         {begun("events") + "v\5count", begun("keys"), begun("answers"), begun("page_table_frames"), everything}) {
        auto file = ChunkFileWriter::create(path, kSnapshotFile, {});
        ASSERT_TRUE(file.ok());
        ASSERT_TRUE(file->take_name().ok());
        bool found = false;
        const auto saved = guest.machine->save([&](SnapshotSection section) {
            const auto at = std::search(section.bytes.begin(), section.bytes.end(), sequence.begin(), sequence.end());
            if (at != section.bytes.end()) {
                const std::string count = "v\5count";
                const auto field = std::search(at, section.bytes.end(), count.begin(), count.end()) +
                                   static_cast<std::ptrdiff_t>(count.size()) + sizeof(u64);
                const u64 lie = u64{1} << 27;
                std::memcpy(&*field, &lie, sizeof lie);
                found = true;
            }
            if (section.name == "vga" && sequence == everything) {
                section.bytes.resize(kMostSectionBytes);
                found = true;
            }
            ChunkLabel label{};
            std::copy(section.name.begin(), section.name.end(), label.begin());
            return file->append(chunk_type("SECT"), section.version, label, section.bytes, Packing::Zstd);
        });
        ASSERT_TRUE(saved.ok());
        ASSERT_TRUE(file->finish().ok());
        EXPECT_TRUE(found) << sequence;
        EXPECT_FALSE(load_file(*guest.machine, path).ok()) << sequence;
        const i64 taken = peak_megabytes([&] { static_cast<void>(load_file(*guest.machine, path)); });
        const auto bytes = static_cast<i64>(std::filesystem::file_size(path));
        EXPECT_GE(taken, 0) << sequence;
        EXPECT_LE(taken, 64 + kGuest + 4 * (bytes >> 20)) << sequence;
    }
    std::filesystem::remove(path);
}

// The one list of a snapshot whose length is the guest's whole life: a million inputs that press to nothing.
TEST(Snapshot, OfManyInputsIsNotHeldThrice) {
    constexpr i64 kGuest = 8;
    GuestMachine guest = small_guest();
    const std::string path = temporary("inputs.snapshot");
    auto file = ChunkFileWriter::create(path, kSnapshotFile, {});
    ASSERT_TRUE(file.ok());
    constexpr std::size_t kInputs = (kMostSectionBytes - 4096) / (5 * sizeof(u64));
    const auto saved = guest.machine->save([&](SnapshotSection section) {
        if (section.name == "inputs") {
            SaveArchive ar;
            InputLog log(std::vector<InputEvent>(
                kInputs, InputEvent{.kind = InputKind::Key, .data = 0x1E, .cycle = 5, .instructions = 5}));
            log.serialize(ar);
            section.bytes = ar.take();
        }
        ChunkLabel label{};
        std::copy(section.name.begin(), section.name.end(), label.begin());
        return file->append(chunk_type("SECT"), section.version, label, section.bytes, Packing::Zstd);
    });
    ASSERT_TRUE(saved.ok());
    ASSERT_TRUE(file->finish().ok());
    EXPECT_LT(std::filesystem::file_size(path), 1u << 20);
    const i64 taken = peak_megabytes([&] {
        if (!load_file(*guest.machine, path).ok())
            ::_exit(1);
    });
    EXPECT_GE(taken, 0);
    EXPECT_LE(taken, 64 + kGuest);
}

TEST(Snapshot, FileThatIsDamagedOrCutShortIsRefused) {
    const std::string path = temporary("damaged.snapshot");
    GuestMachine guest = small_guest();
    guest.machine->run({kNever, 100'000});
    ASSERT_TRUE(save_snapshot(*guest.machine, path).ok());
    std::ifstream file(path, std::ios::binary);
    const std::vector<u8> whole{std::istreambuf_iterator<char>(file), {}};
    ASSERT_TRUE(load_bytes(*guest.machine, whole).ok());
    const u64 before = guest.machine->hash();
    Random random(31);
    int harmless = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<u8> bad = whole;
        if (round % 3 == 0)
            bad.resize(random.below(bad.size()));
        else
            bad[random.below(bad.size())] ^= static_cast<u8>(1u << random.below(8));
        const auto loaded = load_bytes(*guest.machine, bad);
        if (loaded.ok())
            ++harmless; // a bit of the preamble's reserved word, or of a head, which the index repeats
        else
            EXPECT_NE(loaded.error().message.find("'F'"), std::string::npos) << loaded.error().message;
        ASSERT_EQ(guest.machine->hash(), before) << "round " << round;
    }
    EXPECT_LT(harmless, 60);
    std::filesystem::remove(path);
}

TEST(Snapshot, FileOfVersion1IsRefusedByName) {
    GuestMachine guest = small_guest();
    const std::string text = std::string("FSCPSNAP\1\0\0\0", 12) + std::string(200, '\0');
    const auto loaded = load_bytes(*guest.machine, {text.begin(), text.end()});
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().message, "'F' is a snapshot of version 1; this program reads version 2; save it again");
}

TEST(Snapshot, ThatCannotBeWrittenLeavesTheOlderFile) {
    const std::string path = temporary("older.snapshot");
    GuestMachine guest = small_guest();
    EXPECT_FALSE(save_snapshot(*guest.machine, path + "/no/folder").ok());
    const auto full = save_snapshot(*guest.machine, "/dev/full");
    ASSERT_FALSE(full.ok());
    EXPECT_NE(full.error().message.find("/dev/full"), std::string::npos);
    EXPECT_TRUE(save_snapshot(*guest.machine, "/dev/null").ok());
    std::filesystem::remove(path);
}

} // namespace forkscope
