#include "emu/session/recording/replay.hpp"

#include "emu/files/interruption.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

constexpr std::size_t kMostLines = 20; // of fields that differ

const char* engine_name(EngineKind engine) {
    return engine == EngineKind::Interpreter  ? "interpreter"
           : engine == EngineKind::Translator ? "translator"
                                              : "block engine";
}

void list_fields(ReplayResult& result, const std::vector<std::string>& fields) {
    for (std::size_t i = 0; i < std::min(fields.size(), kMostLines); ++i)
        result.differences.push_back("  " + fields[i]);
    if (fields.size() > kMostLines)
        result.differences.push_back(fmt::format("  and {} more", fields.size() - kMostLines));
}

// Compares events with those of a file, from the given one on, up to the first that differs.
class EventComparison final : public TraceSink {
  public:
    EventComparison(const Recording& recording, u64 first) : recording_(recording), next_(first) {}

    TraceKinds kinds() const override { return recording_.run().kinds; }
    TraceKinds looks_at() const override { return 0; }
    void on_event(const TraceEvent& event) override {
        if (!difference_.empty() || over_)
            return;
        const TraceEvent* recorded = next_recorded();
        if (recorded == nullptr) {
            over_ = true;
            return;
        }
        ++next_;
        const std::string now = trace_event_line(event);
        const std::string then = trace_event_line(*recorded);
        if (now == then)
            return;
        difference_ = {fmt::format("the first event that differs is number {}, behind instruction {}:", next_ - 1,
                                   std::min(event.instructions, recorded->instructions)),
                       "  recorded: " + then, "  now:      " + now};
    }
    // Empty: none did.
    const std::vector<std::string>& difference() const { return difference_; }

  private:
    const TraceEvent* next_recorded() {
        const auto& chunks = recording_.events().chunks();
        while (chunk_ < chunks.size() && chunks[chunk_].first_event + chunks[chunk_].events <= next_) {
            ++chunk_;
            events_.clear();
        }
        if (chunk_ == chunks.size() || next_ < chunks[chunk_].first_event)
            return nullptr;
        if (events_.empty()) {
            auto read = recording_.events().read_chunk(chunk_);
            if (!read.ok())
                return nullptr;
            events_ = std::move(read).value();
        }
        return &events_[next_ - chunks[chunk_].first_event];
    }

    const Recording& recording_;
    u64 next_;
    std::size_t chunk_ = 0;
    std::vector<TraceEvent> events_;
    std::vector<std::string> difference_;
    bool over_ = false; // what comes is not in the file
};

class Search {
  public:
    // The hash at `equal` was equal, the one of `strayed` is not, or the run does not get there.
    Search(const Recording& recording, EngineKind engine, Position equal, const HashMark& strayed)
        : recording_(recording), engine_(engine), equal_(equal), strayed_(strayed) {}

    Result<void> run(ReplayResult& result) {
        auto mine = at_last_equal(engine_);
        if (!mine.ok())
            return mine.error();
        auto other = at_last_equal(other_engine());
        if (!other.ok())
            return other.error();
        const Snapshot state = mine->machine().snapshot();
        mine->run_to(strayed_.at);
        if (reaches(*other)) {
            result.differences.push_back(fmt::format("the {} does again what was recorded, the {} does not",
                                                     engine_name(other_engine()), engine_name(engine_)));
            const auto place = first_difference(*other, *mine, state, strayed_.at);
            if (!place.ok())
                return place.error();
            result.differences.push_back(fmt::format("the first instruction that differs is number {}:", *place));
            list_fields(result, mine->machine().differences(other->machine().snapshot()));
            return {};
        }
        const bool alike = mine->machine().hash() == other->machine().hash();
        result.differences.push_back(alike ? "both engines do the same now: the run itself is another, "
                                             "by its inputs or by this program"
                                           : "the engines differ now, and neither does what was "
                                             "recorded");
        return compare_events(result);
    }

  private:
    EngineKind other_engine() const {
        return engine_ == EngineKind::Interpreter ? EngineKind::Block : EngineKind::Interpreter;
    }

    bool reaches(Rerun& rerun) const { return rerun.run_to(strayed_.at) && rerun.machine().hash() == strayed_.hash; }

    Result<Rerun> at_last_equal(EngineKind engine) const {
        auto rerun = Rerun::create(recording_, engine);
        if (!rerun.ok())
            return rerun;
        // Where a checkpoint cannot be read, the way from the beginning is left.
        if (const auto* checkpoint = recording_.checkpoint_before(equal_); checkpoint != nullptr)
            static_cast<void>(rerun->begin_at(checkpoint));
        if (!rerun->run_to(equal_))
            return Error{fmt::format("the run does not get to instruction {} from the checkpoint before it: the "
                                     "recording contradicts itself",
                                     equal_.instructions)};
        return rerun;
    }

    // From the last checkpoint that was equal to the first one behind: its events, then its fields.
    Result<void> compare_events(ReplayResult& result) const {
        auto rerun = Rerun::create(recording_, engine_);
        if (!rerun.ok())
            return rerun.error();
        const auto* from = recording_.checkpoint_before(equal_);
        if (from != nullptr && !rerun->begin_at(from).ok())
            from = nullptr;
        EventComparison events(recording_, from != nullptr ? from->events : 0);
        rerun->machine().set_trace_sink(&events);
        const auto* until = next_checkpoint();
        rerun->run_to(until != nullptr ? until->at : strayed_.at);
        rerun->machine().set_trace_sink(nullptr);
        if (events.difference().empty())
            result.differences.push_back("no recorded event differs up to there");
        for (const std::string& line : events.difference())
            result.differences.push_back(line);
        if (until == nullptr)
            return {};
        const auto then = recording_.state(*until);
        if (!then.ok())
            return {};
        result.differences.push_back(
            fmt::format("at the next checkpoint, instruction {} (recorded -> now):", until->at.instructions));
        list_fields(result, rerun->machine().differences(*then));
        return {};
    }

    const Recording::Checkpoint* next_checkpoint() const {
        for (const Recording::Checkpoint& checkpoint : recording_.checkpoints())
            if (strayed_.at <= checkpoint.at)
                return &checkpoint;
        return nullptr;
    }

    const Recording& recording_;
    EngineKind engine_;
    Position equal_;
    HashMark strayed_;
};

} // namespace

// Between `equal` and `differs` lies one instruction in the end.
Result<u64> first_difference(Rerun& one, Rerun& other, const Snapshot& state, Position end) {
    const auto go = [&](u64 instructions) -> Result<void> {
        for (Rerun* rerun : {&one, &other}) {
            if (auto back = rerun->begin_at(state); !back.ok())
                return back;
            rerun->run_to_instruction(instructions, end);
        }
        return {};
    };
    if (auto back = one.begin_at(state); !back.ok())
        return back.error();
    u64 equal = one.machine().instructions();
    u64 differs = std::max(end.instructions, equal + 1);
    while (equal + 1 < differs) {
        const u64 middle = equal + (differs - equal) / 2;
        if (auto gone = go(middle); !gone.ok())
            return gone.error();
        (one.machine().hash() == other.machine().hash() ? equal : differs) = middle;
    }
    if (auto gone = go(differs); !gone.ok())
        return gone.error();
    return differs;
}

Result<ReplayResult> replay(const Recording& recording, EngineKind engine) {
    if (const std::string why = recording.run().refusal(); !why.empty())
        return Error{fmt::format("'{}' cannot be re-executed: {}; read its events with `trace dump`, or use the "
                                 "program that recorded it",
                                 recording.name(), why)};
    auto rerun = Rerun::create(recording, engine);
    if (!rerun.ok())
        return rerun.error();
    ReplayResult result;
    Position equal = recording.beginning();
    for (const HashMark& mark : recording.hashes()) {
        if (Interruption::requested()) {
            result.interrupted = true;
            break;
        }
        const bool there = rerun->run_to(mark.at);
        if (there && rerun->machine().hash() == mark.hash) {
            ++result.hashes;
            equal = mark.at;
            continue;
        }
        result.equal = false;
        result.differences.push_back(
            there ? fmt::format("the state at instruction {} is not what was recorded; that at {} is",
                                mark.at.instructions, equal.instructions)
                  : fmt::format("the run does not get to instruction {} at cycle {}: it is at {} and {}; at {} it was "
                                "what was recorded",
                                mark.at.instructions, mark.at.cycle, rerun->machine().instructions(),
                                rerun->machine().now(), equal.instructions));
        if (auto searched = Search(recording, engine, equal, mark).run(result); !searched.ok())
            result.differences.push_back(searched.error().message);
        break;
    }
    result.instructions = equal.instructions - recording.beginning().instructions;
    return result;
}

} // namespace forkscope
