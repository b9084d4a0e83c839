// Owns: DapAdapter, the Debug Adapter Protocol over the Stepper, without a wire: requests in, answers and events out.
// Callers: DapServer. Promises: any message gets an answer or a word about it; the machine moves in work() alone, and
// what comes meanwhile is heard; the guest's end and both ends of history are stops, from which one can go back.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "emu/debug/dap/points.hpp"
#include "emu/debug/dap/values.hpp"
#include "emu/report/stepper/step_commands.hpp"

namespace forkscope {

class DapAdapter {
  public:
    using Json = nlohmann::json;

    struct Host {
        // The options that a launch names, as `step` takes them.
        std::function<Result<Options>(const std::vector<std::string>& words)> options;
        // Passes to receive() what has come; false: nothing more will.
        std::function<bool()> listen;
        // Hands over what take_output() has.
        std::function<void()> send;
    };
    static constexpr std::size_t kMostWaiting = 256; // requests that came during a move

    explicit DapAdapter(Host host) : host_(std::move(host)) {}

    // One message, as JSON.
    void receive(std::string_view message);
    // It takes no more until work() has done some.
    bool is_full() const { return requests_.size() >= kMostWaiting; }
    // Answers a request, or moves the machine a piece. False: there is nothing to do.
    bool work();
    // Nothing can be heard any more, and why; "": the client is done.
    void end(const std::string& why);
    bool over() const { return over_; }
    std::string take_output() { return std::exchange(output_, {}); }
    Session* session() { return session_.get(); }

  private:
    using Handler = Result<Json> (DapAdapter::*)(const Json& arguments);
    struct Request {
        std::string_view name;
        Handler handler;
        enum class Needs : u8 { Nothing, Session, Stopped } needs = Needs::Session;
    };
    struct Move {
        enum class Kind : u8 { Grain, GoOn, Until } kind = Kind::GoOn;
        Way way = Way::Forwards;
        Grain grain = Grain::Instruction;
        std::string condition = {};
        bool in_workload = false; // of forks the workload's alone, as of --until
        std::string reason = "step";
    };
    static std::span<const Request> requests();

    void handle(const Json& request);
    void send(Json message);
    void event(std::string_view name, Json body);
    void print(std::string_view category, const std::string& text);
    void print_console();
    void stopped(std::string reason, const std::string& text, const std::vector<u32>& numbers = {});
    void move();
    void arrived(const Move& made, const Result<Arrival>& arrival);
    bool interrupted();
    Result<Json> start(Move move);

    // adapter.cpp
    Result<Json> initialize(const Json& arguments);
    Result<Json> launch(const Json& arguments);
    Result<Json> configuration_done(const Json& arguments);
    Result<Json> disconnect(const Json& arguments);
    Result<Json> terminate(const Json& arguments);
    Result<Json> next(const Json& arguments);
    Result<Json> step_in(const Json& arguments);
    Result<Json> step_out(const Json& arguments);
    Result<Json> step_back(const Json& arguments);
    Result<Json> go_on(const Json& arguments);
    Result<Json> reverse_continue(const Json& arguments);
    Result<Json> pause(const Json& arguments);
    Result<Json> set_source(const Json& arguments) { return points_->set_source(arguments); }
    Result<Json> set_functions(const Json& arguments) { return points_->set_functions(arguments); }
    Result<Json> set_instructions(const Json& arguments) { return points_->set_instructions(arguments); }
    Result<Json> set_data(const Json& arguments) { return points_->set_data(arguments); }
    Result<Json> set_filters(const Json& arguments) { return points_->set_filters(arguments); }
    Result<Json> lines_with_code(const Json& arguments) { return points_->lines_with_code(arguments); }
    // adapter_look.cpp
    Result<Json> threads(const Json& arguments);
    Result<Json> stack_trace(const Json& arguments);
    Result<Json> scopes(const Json& arguments);
    Result<Json> variables(const Json& arguments);
    Result<Json> set_variable(const Json& arguments);
    Result<Json> data_info(const Json& arguments);
    Result<Json> evaluate(const Json& arguments);
    Result<Json> source(const Json& arguments);
    Result<Json> read_memory(const Json& arguments);
    Result<Json> disassemble(const Json& arguments);
    Result<Json> value_in_frame(const std::string& expression, const Json& arguments);
    Result<Json> console_command(const std::string& line);
    bool is_variable(const std::string& word, const Json& arguments);
    Json source_of(const std::string& file);

    Host host_;
    std::deque<Json> requests_;
    std::string output_;
    i64 sequence_ = 0;
    std::vector<Json> events_; // for behind the answer under way
    bool answering_ = false, over_ = false, lines_from_0_ = false;

    std::unique_ptr<Session> session_;
    std::unique_ptr<DebugTarget> target_;
    std::unique_ptr<Stepper> stepper_;
    std::unique_ptr<StepCommands> commands_;
    std::unique_ptr<DapPoints> points_;
    std::unique_ptr<DapValues> values_;
    std::optional<Move> first_, pending_; // what configurationDone starts; what is under way
    std::string console_;                 // the guest's words, not sent yet
    std::string source_folder_;
    std::vector<std::string> files_; // by source reference, from 1
};

} // namespace forkscope
