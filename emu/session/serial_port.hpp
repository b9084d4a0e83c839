// Owns: SerialPort, the host end of COM1 or of the debug console: stdio, a file, a pseudo-terminal, or nothing.
// Callers: HostEnds. Promises: reading never blocks; a write error is kept and reported at the end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "emu/base/result.hpp"
#include "emu/base/types.hpp"

namespace forkscope {

class SerialPort {
  public:
    // "stdio", "file:PATH", "pty", "none". `option` is what the person typed it behind.
    static Result<std::unique_ptr<SerialPort>> open(const std::string& where, const std::string& option);
    // Whether open() would find its place, without touching it.
    static Result<void> check(const std::string& where, const std::string& option);
    ~SerialPort();

    void write(u8 byte);
    void flush();
    std::vector<u8> read();
    const std::string& error() const { return error_; }

  private:
    SerialPort() = default;
    static Error unwritable(const std::string& path, const std::string& option, int reason);

    int in_ = -1;
    int out_ = -1;
    int slave_ = -1; // kept open, so that the pty survives its readers
    bool own_ = false;
    std::string option_;
    std::string name_;
    std::string buffer_;
    std::string error_;
};

} // namespace forkscope
