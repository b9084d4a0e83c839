// Owns: SerialPort, the host end of COM1 or of the debug console: stdio, a file, a pseudo-terminal, or nothing.
// Callers: HostEnds. Promises: reading and writing never block for long; the first error of writing is kept.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"
#include "emu/session/host_output.hpp"

namespace forkscope {

class SerialPort {
  public:
    // "stdio", "stdio,clean", "file:PATH", "pty", "none". `option` is what the person typed it behind, `standard` where
    // stdio goes.
    static Result<std::unique_ptr<SerialPort>> open(const std::string& where, const std::string& option,
                                                    HostOutput& standard);
    // Whether open() would find its place, without touching it.
    static Result<void> check(const std::string& where, const std::string& option);
    // Whether it shares the program's standard input and output.
    static bool on_stdio(const std::string& where) { return where == "stdio" || where == "stdio,clean"; }
    ~SerialPort();

    void write(u8 byte);
    void flush();
    std::vector<u8> read();
    // Somebody may still send something.
    bool may_speak() const { return in_ >= 0; }
    // Hands over all that is left; the first trouble of a file or a pseudo-terminal.
    Result<void> finish();

  private:
    SerialPort() = default;
    static Error unwritable(const std::string& path, const std::string& option, int reason);
    Result<void> open_file(const std::string& path, const std::string& option);
    Result<void> open_terminal(const std::string& option);

    int in_ = -1;
    int own_ = -1;
    int slave_ = -1; // kept open, so that the pty survives its readers
    bool clean_ = false;
    HostOutput* out_ = nullptr; // own_out_, or standard output
    std::unique_ptr<HostOutput> own_out_;
};

} // namespace forkscope
