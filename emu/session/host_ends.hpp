// Owns: HostEnds, the host's ends of a session: serial port, debug console, the terminal's mode, the trace file.
// Callers: Session. Promises: check() touches no file, open() comes after all checks; bytes from outside become stamped
// inputs between two slices; the first error of writing is kept.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "emu/machine/machine.hpp"
#include "emu/session/host_output.hpp"
#include "emu/session/host_terminal.hpp"
#include "emu/session/options/options.hpp"
#include "emu/session/recording/recording_writer.hpp"
#include "emu/session/serial_port.hpp"
#include "emu/trace/trace_file.hpp"

namespace forkscope {

class HostEnds {
  public:
    // Error: something that open(), or the end of the run, would write cannot be written.
    static Result<void> check(const Options& options);
    static Result<std::unique_ptr<HostEnds>> open(const Options& options, Machine& machine);
    ~HostEnds();
    HostEnds(const HostEnds&) = delete;
    HostEnds& operator=(const HostEnds&) = delete;

    // Hears the end of COM1's output, without carriage returns, after each character.
    void set_listener(std::function<void(const std::string& text)> listener) { listener_ = std::move(listener); }
    // Each of its bytes that is put out anew.
    void hear_bytes(std::function<void(u8 byte)> hear) { hear_byte_ = std::move(hear); }
    // The events of a trace or a recording; nullptr: nothing is recorded.
    TraceFileWriter* recording();
    RecordingWriter* recorder() { return recorder_.get(); }
    // Injects what has come from outside.
    void poll();
    void flush();
    // Something may still come.
    bool may_speak() const { return serial_->may_speak(); }
    // The end of COM1's output, without carriage returns; empty: the guest has been silent there.
    const std::string& said() const { return said_; }
    // A line of ours on standard output, after what the guest has put there.
    void print(const std::string& line);
    // Hands all over to whoever reads standard output, if anybody does.
    void drain() { standard_.drain(); }
    // Whoever read standard output has closed it.
    bool reader_gone() const { return standard_.reader_gone(); }
    // Where the guest has the terminal: keys go to it at once, and it alone echoes them.
    void take_terminal();
    void leave_terminal();
    // Returns at once without a terminal.
    void wait_for_key(int milliseconds) const;
    // Closes the trace; the first error of any of the ends.
    Result<void> finish();

  private:
    explicit HostEnds(Machine& machine);
    Result<void> open_recording(const Options& options);
    void on_output(std::string_view channel, u8 byte);

    // What the guest has said so far, as it goes back with the machine.
    struct Said {
        std::string text;
        void serialize(Archive& ar) { ar.text("text", text); }
        auto held() const { return std::tie(text); }
    };
    friend CheckpointPart checkpoint_part<HostEnds>(std::string, u32, HostEnds&);
    Said state() const { return {said_}; }
    void restore(const Said* said) { said_ = said != nullptr ? said->text : ""; }

    Machine& machine_;
    std::unique_ptr<TraceFileWriter> trace_;
    std::unique_ptr<RecordingWriter> recorder_;
    HostOutput standard_;
    std::unique_ptr<SerialPort> serial_;
    std::unique_ptr<SerialPort> debug_console_; // port E9h
    std::optional<KeysUnechoed> keys_;
    std::string said_; // the end of COM1's output
    bool on_stdout_ = false;
    std::function<void(const std::string&)> listener_;
    std::function<void(u8)> hear_byte_;
};

} // namespace forkscope
