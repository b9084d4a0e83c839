// `trace info`, `dump`, `stat` and `query`: what is in a trace, or in the events of a recording.
#include <optional>

#include "emu/base/log.hpp"
#include "emu/cli/commands.hpp"
#include "emu/session/conditions/query/trace_query.hpp"
#include "emu/session/conditions/query/trace_symbols.hpp"
#include "emu/trace/trace_text.hpp"

namespace forkscope {

namespace {

Result<std::vector<TraceKind>> kinds_asked(const Options& options) {
    std::vector<TraceKind> kinds;
    for (const std::string& name : options.kinds) {
        const auto kind = trace_kind_named(name);
        if (!kind)
            return Error{
                fmt::format("--kind '{}': no such kind of event; `forkscope trace stat FILE` names those in a file",
                            name),
                ExitCode::Usage};
        kinds.push_back(*kind);
    }
    return kinds;
}

// What a reader of the output has to know besides.
Result<ExitCode> end_of(const TraceFileReader& trace, const Options& options, const Result<void>& printed,
                        const Result<void>& read, ExitCode code) {
    if (!printed.ok())
        return printed.error();
    if (!trace.complete() || !trace.damage().empty())
        tell(fmt::format("the trace '{}' did not end in order: {}", options.trace_file, trace.damage()));
    if (!read.ok())
        return Error{fmt::format("the trace '{}': {}", options.trace_file, read.error().message)};
    return code;
}

} // namespace

Result<ExitCode> trace_command(const Options& options) {
    const auto kinds = kinds_asked(options);
    if (!kinds.ok())
        return kinds.error();
    const auto trace = TraceFileReader::open(options.trace_file);
    if (!trace.ok())
        return trace.error();
    Result<void> printed;
    const auto out = [&](std::string_view text) {
        if (printed.ok())
            printed = print(text);
    };
    Result<void> read;
    if (options.command == Command::TraceInfo)
        read = trace_info(*trace, out);
    else if (options.command == Command::TraceDump)
        read = trace_dump(*trace, {*kinds, 0, ~u64{0}, options.most_lines}, out);
    else
        read = trace_stat(*trace, out);
    return end_of(*trace, options, printed, read, ExitCode::Ok);
}

Result<ExitCode> trace_query_command(const Options& options) {
    const auto trace = TraceFileReader::open(options.trace_file);
    if (!trace.ok())
        return trace.error();
    Symbolizer symbols;
    add_symbols_of_trace(symbols, *trace);
    auto query = TraceQuery::create(options.query, symbols, trace->header());
    if (!query.ok())
        return query.error();
    Result<void> printed;
    u64 lines = 0;
    const auto print_event = [&](const TraceEvent& event) {
        if (printed.ok() && lines < options.most_lines) {
            printed = print(trace_event_line(event) + "\n");
            ++lines;
        }
    };
    const Result<void> read = trace->for_each([&](const TraceEvent& event) {
        query->on_event(event, print_event);
        return printed.ok() && lines < options.most_lines;
    });
    query->finish(print_event);
    const bool met = query->times_met() != 0;
    auto code = end_of(*trace, options, printed, read, met ? ExitCode::Ok : ExitCode::LimitReached);
    if (code.ok() && !met)
        tell(fmt::format("'{}' was not met: {} events were read", options.query, trace->event_count()));
    if (const std::string note = query->note(); code.ok() && !note.empty())
        tell(note);
    return code;
}

} // namespace forkscope
