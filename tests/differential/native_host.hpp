// Owns: NativeHost, the child process that executes programs on this host's processor, and the memory shared with it.
// Callers: the comparison. Promises: never hangs: a runner that stops answering is ended and named with its case.
#pragma once

#include <string>
#include <sys/types.h>

#include "native_protocol.hpp"

namespace forkscope::test {

class NativeHost {
  public:
    NativeHost();
    ~NativeHost();
    NativeHost(const NativeHost&) = delete;
    NativeHost& operator=(const NativeHost&) = delete;

    SharedMemory& shared() { return *shared_; }
    // Fill shared() first. Returns why this host cannot, or nothing.
    std::string start();
    // Lets batch `number` run; the caller must not touch it until finish(number).
    void begin(u8 number);
    // False: the runner died or hung; case batches[number].done is to blame.
    bool finish(u8 number);

  private:
    void stop();
    // Why the kernel is of no use here, or nothing; also finds out about the LDT.
    std::string probe();

    SharedMemory* shared_ = nullptr;
    int file_ = -1;
    int to_runner_ = -1;
    int from_runner_ = -1;
    pid_t process_ = -1;
    bool ldt_is_useless_ = false;
};

} // namespace forkscope::test
