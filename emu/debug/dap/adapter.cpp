#include "emu/debug/dap/adapter.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "emu/debug/dap/arguments.hpp"
#include "emu/debug/dap/framing.hpp"
#include "emu/files/interruption.hpp"

namespace forkscope {

namespace {

using Json = nlohmann::json;

Error usage(std::string text) { return Error{std::move(text), ExitCode::Usage}; }

// Deeper than any request is. The parser itself does not recurse.
constexpr int kDeepest = 32;

} // namespace

std::span<const DapAdapter::Request> DapAdapter::requests() {
    using A = DapAdapter;
    using enum Request::Needs;
    static constexpr Request kRequests[] = {
        {"initialize", &A::initialize, Nothing},
        {"launch", &A::launch, Nothing},
        {"attach", &A::launch, Nothing},
        {"configurationDone", &A::configuration_done},
        {"disconnect", &A::disconnect, Nothing},
        {"terminate", &A::terminate, Nothing},
        {"next", &A::next, Stopped},
        {"stepIn", &A::step_in, Stopped},
        {"stepOut", &A::step_out, Stopped},
        {"stepBack", &A::step_back, Stopped},
        {"continue", &A::go_on, Stopped},
        {"reverseContinue", &A::reverse_continue, Stopped},
        {"pause", &A::pause},
        {"setBreakpoints", &A::set_source},
        {"setFunctionBreakpoints", &A::set_functions},
        {"setInstructionBreakpoints", &A::set_instructions},
        {"setDataBreakpoints", &A::set_data},
        {"dataBreakpointInfo", &A::data_info},
        {"setExceptionBreakpoints", &A::set_filters},
        {"breakpointLocations", &A::lines_with_code},
        {"threads", &A::threads},
        {"stackTrace", &A::stack_trace},
        {"scopes", &A::scopes},
        {"variables", &A::variables},
        {"setVariable", &A::set_variable},
        {"evaluate", &A::evaluate},
        {"source", &A::source},
        {"readMemory", &A::read_memory},
        {"disassemble", &A::disassemble},
    };
    return kRequests;
}

// --- Messages

void DapAdapter::receive(std::string_view message) {
    bool too_deep = false;
    const auto keep = [&too_deep](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > kDeepest;
        return depth <= kDeepest;
    };
    Json request = Json::parse(message, keep, false);
    if (request.is_discarded() || too_deep || !request.is_object())
        return print("stderr",
                     fmt::format("a message was not understood: {}\n", too_deep ? "its JSON is nested too deeply"
                                                                       : request.is_discarded() ? "it is no JSON"
                                                                                                : "it is no object"));
    if (text_of(request, "type") == "request")
        requests_.push_back(std::move(request));
}

void DapAdapter::send(Json message) {
    message["seq"] = ++sequence_;
    // The guest's bytes need not be UTF-8.
    output_ += dap_frame(message.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void DapAdapter::event(std::string_view name, Json body) {
    Json message{{"type", "event"}, {"event", name}, {"body", std::move(body)}};
    if (answering_)
        events_.push_back(std::move(message));
    else
        send(std::move(message));
}

void DapAdapter::print(std::string_view category, const std::string& text) {
    event("output", {{"category", category}, {"output", text}});
}

void DapAdapter::print_console() {
    if (!console_.empty())
        print("stdout", std::exchange(console_, {}));
}

void DapAdapter::handle(const Json& request) {
    const std::string command = text_of(request, "command");
    const auto all = requests();
    const auto at = std::find_if(all.begin(), all.end(), [&](const Request& one) { return one.name == command; });
    Result<Json> body = usage(fmt::format("'{}' is not supported", command.substr(0, 80)));
    answering_ = true;
    if (at != all.end() && at->needs != Request::Needs::Nothing && session_ == nullptr)
        body = usage(fmt::format("'{}' comes too early: send launch or attach first", command));
    else if (at != all.end() && at->needs == Request::Needs::Stopped && pending_)
        body = usage("the guest is running; pause it first");
    else if (at != all.end())
        body = (this->*at->handler)(member_of(request, "arguments"));
    answering_ = false;
    Json answer{{"type", "response"}, {"request_seq", number_of(request, "seq")}, {"command", command}};
    answer["success"] = body.ok();
    if (body.ok()) {
        answer["body"] = *std::move(body);
    } else {
        answer["message"] = body.error().message;
        answer["body"] = {{"error", {{"id", 1}, {"format", "{why}"}, {"variables", {{"why", body.error().message}}}}}};
    }
    send(std::move(answer));
    for (Json& one : std::exchange(events_, {}))
        send(std::move(one));
}

bool DapAdapter::work() {
    if (over_)
        return false;
    if (!requests_.empty()) {
        const Json request = std::move(requests_.front());
        requests_.pop_front();
        handle(request);
        return true;
    }
    if (!pending_)
        return false;
    move();
    return true;
}

void DapAdapter::end(const std::string& why) {
    if (!why.empty()) {
        print("stderr", why + "; the session ends\n");
        event("terminated", Json::object());
    }
    over_ = true;
}

// --- The session

Result<Json> DapAdapter::initialize(const Json& arguments) {
    lines_from_0_ = !flag_of(arguments, "linesStartAt1", true);
    Json able = Json::object();
    for (const char* const what :
         {"supportsConfigurationDoneRequest", "supportsFunctionBreakpoints", "supportsConditionalBreakpoints",
          "supportsHitConditionalBreakpoints", "supportsEvaluateForHovers", "supportsStepBack", "supportsSetVariable",
          "supportsTerminateRequest", "supportsDataBreakpoints", "supportsReadMemoryRequest",
          "supportsDisassembleRequest", "supportsBreakpointLocationsRequest", "supportsSteppingGranularity",
          "supportsInstructionBreakpoints", "supportsExceptionFilterOptions"})
        able[what] = true;
    able["exceptionBreakpointFilters"] = DapPoints::filters();
    return able;
}

namespace {

// Of launch: the first argument that is of another type than it takes, which would else go for one that is not there.
std::string mistyped(const Json& arguments) {
    struct Argument {
        const char *name, *type;
        bool (*fits)(const Json&);
    };
    constexpr auto is_text = [](const Json& value) { return value.is_string(); };
    constexpr auto are_texts = [](const Json& value) {
        return value.is_array() && std::all_of(value.begin(), value.end(), [](auto& one) { return one.is_string(); });
    };
    constexpr Argument kArguments[] = {
        {"args", "a list of strings", are_texts},
        {"until", "a string", is_text},
        {"stopOnEntry", "true or false", [](const Json& value) { return value.is_boolean(); }},
        {"recording", "a string", is_text},
        {"at", "a count of instructions", [](const Json& value) { return value.is_number_unsigned(); }},
        {"sources", "a string", is_text}};
    for (const auto& [name, type, fits] : kArguments)
        if (arguments.is_object() && arguments.contains(name) && !fits(arguments[name]))
            return fmt::format("{} is to be {}", name, type);
    return {};
}

} // namespace

Result<Json> DapAdapter::launch(const Json& arguments) {
    if (session_ != nullptr)
        return usage("there is a machine already");
    if (const std::string why = mistyped(arguments); !why.empty())
        return usage(why);
    std::vector<std::string> words = texts_of(arguments, "args");
    if (const std::string recording = text_of(arguments, "recording"); !recording.empty())
        words.insert(words.begin(), recording);
    if (arguments.is_object() && arguments.contains("at"))
        words.insert(words.end(), {"--at", std::to_string(arguments["at"].get<u64>())});
    auto options = host_.options(words);
    if (!options.ok())
        return options.error();
    std::string until = options->until.empty() && options->load_path.empty() ? "stop:1" : options->until;
    if (arguments.is_object() && arguments.contains("until"))
        until = text_of(arguments, "until");
    options->until.clear();
    auto session = Session::create(*options);
    if (!session.ok())
        return session.error();
    if ((*session)->timeline() == nullptr)
        return usage("args: a session that goes back needs a history; leave --history 0 away");
    if (!until.empty())
        if (const auto condition = compile_condition(until, (*session)->symbols()); !condition.ok())
            return condition.error();
    session_ = *std::move(session);
    source_folder_ = text_of(arguments, "sources");
    target_ = std::make_unique<DebugTarget>(*session_);
    stepper_ = std::make_unique<Stepper>(*session_);
    stepper_->set_interrupted([this] { return interrupted(); });
    commands_ = std::make_unique<StepCommands>(*stepper_);
    points_ = std::make_unique<DapPoints>(*stepper_);
    values_ = std::make_unique<DapValues>(*target_);
    session_->hear_console([this](u8 byte) {
        constexpr std::size_t kMostConsole = std::size_t{64} << 10; // of one piece
        if (byte != '\r' && console_.size() < kMostConsole)
            console_ += static_cast<char>(byte);
    });
    if (!flag_of(arguments, "stopOnEntry") && !session_->starts_paused())
        first_ = until.empty() ? Move{.kind = Move::Kind::GoOn, .reason = "breakpoint"}
                               : Move{.kind = Move::Kind::Until,
                                      .condition = until,
                                      .in_workload = !options->own_kernel(),
                                      .reason = "entry"};
    event("initialized", Json::object());
    return Json::object();
}

Result<Json> DapAdapter::configuration_done(const Json&) {
    if (first_)
        pending_ = std::exchange(first_, std::nullopt);
    else if (!pending_)
        stopped("entry", "");
    return Json::object();
}

Result<Json> DapAdapter::disconnect(const Json&) {
    over_ = true;
    return Json::object();
}

Result<Json> DapAdapter::terminate(const Json&) {
    event("terminated", Json::object());
    pending_.reset();
    return Json::object();
}

// --- Moves

Result<Json> DapAdapter::start(Move move) {
    pending_ = std::move(move);
    return Json::object();
}

namespace {

bool by_instruction(const Json& arguments) { return text_of(arguments, "granularity") == "instruction"; }

} // namespace

Result<Json> DapAdapter::next(const Json& arguments) {
    return start({.kind = Move::Kind::Grain, .grain = by_instruction(arguments) ? Grain::Instruction : Grain::Over});
}

Result<Json> DapAdapter::step_in(const Json& arguments) {
    return start({.kind = Move::Kind::Grain, .grain = by_instruction(arguments) ? Grain::Instruction : Grain::Line});
}

Result<Json> DapAdapter::step_out(const Json&) { return start({.kind = Move::Kind::Grain, .grain = Grain::Out}); }

Result<Json> DapAdapter::step_back(const Json& arguments) {
    return start({.kind = Move::Kind::Grain,
                  .way = Way::Backwards,
                  .grain = by_instruction(arguments) ? Grain::Instruction : Grain::Over});
}

Result<Json> DapAdapter::go_on(const Json&) {
    static_cast<void>(start({.reason = "breakpoint"}));
    return Json{{"allThreadsContinued", true}};
}

Result<Json> DapAdapter::reverse_continue(const Json&) {
    return start({.way = Way::Backwards, .reason = "breakpoint"});
}

Result<Json> DapAdapter::pause(const Json&) {
    if (pending_) {
        pending_.reset();
        stopped("pause", "");
    }
    return Json::object();
}

// A run forwards goes on where it was interrupted, so that whatever comes is answered; other moves are not begun anew
// for less than a pause.
bool DapAdapter::interrupted() {
    print_console();
    host_.send();
    if (!host_.listen())
        end("");
    const bool goes_on = pending_ && pending_->kind != Move::Kind::Grain && pending_->way == Way::Forwards;
    return over_ || Interruption::requested() || (goes_on && !requests_.empty()) ||
           std::any_of(requests_.begin(), requests_.end(), [](const Json& request) {
               const std::string command = text_of(request, "command");
               return command == "pause" || command == "disconnect" || command == "terminate";
           });
}

void DapAdapter::move() {
    const Move made = *pending_;
    values_->forget();
    const Result<Arrival> arrival = made.kind == Move::Kind::Grain ? stepper_->move(made.grain, made.way)
                                    : made.kind == Move::Kind::Until
                                        ? stepper_->run_until(made.condition, made.way, made.in_workload)
                                        : stepper_->go_on(made.way);
    if (over_)
        return;
    const bool interrupted = arrival.ok() && arrival->end == Arrival::End::Interrupted;
    if (interrupted && Interruption::requested())
        return end("stopped by Ctrl-C or a signal");
    if (interrupted && made.kind != Move::Kind::Grain && made.way == Way::Forwards)
        return; // what came is answered first: a pause among it ends the move
    pending_.reset();
    arrived(made, arrival);
}

void DapAdapter::arrived(const Move& made, const Result<Arrival>& arrival) {
    if (!arrival.ok()) {
        print("stderr", arrival.error().message + "\n");
        return stopped("pause", arrival.error().message);
    }
    switch (arrival->end) {
    case Arrival::End::Met: {
        const DapPoints::Met met = points_->met();
        return stopped(met.numbers.empty() ? made.reason : met.reason, arrival->why, met.numbers);
    }
    case Arrival::End::Done:
        return stopped(made.reason, arrival->why);
    case Arrival::End::Interrupted:
        return stopped("pause", arrival->why);
    case Arrival::End::GuestEnded:
        print("important", fmt::format("the guest has ended: {}; one can go back from here\n", arrival->why));
        return stopped("exception", "the guest has ended: " + arrival->why);
    case Arrival::End::Beginning:
        return stopped("entry", arrival->why);
    case Arrival::End::Present:
    case Arrival::End::Limit:
        return stopped("pause", arrival->why);
    }
}

void DapAdapter::stopped(std::string reason, const std::string& text, const std::vector<u32>& numbers) {
    values_->forget();
    print_console();
    Json body{{"reason", std::move(reason)},
              {"threadId", target_->threads().current().id},
              {"allThreadsStopped", true},
              {"preserveFocusHint", false}};
    if (!text.empty())
        body["description"] = body["text"] = text;
    if (!numbers.empty())
        body["hitBreakpointIds"] = numbers;
    event("stopped", std::move(body));
}

} // namespace forkscope
