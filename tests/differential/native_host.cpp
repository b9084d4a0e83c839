#include "native_host.hpp"

#include <csignal>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emu/base/assert.hpp"

namespace forkscope::test {

namespace {
constexpr int kPatienceMilliseconds = 20'000;
}

NativeHost::NativeHost() {
    file_ = memfd_create("cases", 0);
    EMU_ASSERT(file_ >= 0 && ftruncate(file_, sizeof(SharedMemory)) == 0, "no shared memory for the native runner");
    void* const mapped = mmap(nullptr, sizeof(SharedMemory), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    EMU_ASSERT(mapped != MAP_FAILED, "no shared memory for the native runner");
    shared_ = static_cast<SharedMemory*>(mapped);
}

NativeHost::~NativeHost() {
    stop();
    munmap(shared_, sizeof(SharedMemory));
    close(file_);
}

void NativeHost::stop() {
    if (process_ < 0)
        return;
    close(to_runner_);
    close(from_runner_);
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
}

std::string NativeHost::start() {
    stop();
    int requests[2];
    int answers[2];
    if (pipe(requests) != 0 || pipe(answers) != 0)
        return "no pipes for the native runner";
    signal(SIGPIPE, SIG_IGN);
    process_ = fork();
    if (process_ == 0) {
        dup2(requests[0], STDIN_FILENO);
        dup2(answers[1], STDOUT_FILENO);
        dup2(file_, 3);
        for (int i = 4; i < 64; ++i)
            close(i);
        execl(FORKSCOPE_NATIVE_RUNNER, FORKSCOPE_NATIVE_RUNNER, nullptr);
        _exit(127);
    }
    close(requests[0]);
    close(answers[1]);
    to_runner_ = requests[1];
    from_runner_ = answers[0];
    if (finish(0xFF))
        return {};
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return "this host cannot run 32-bit code (see standard error)";
    return std::string("the native runner does not start: ") + FORKSCOPE_NATIVE_RUNNER;
}

void NativeHost::begin(u8 number) {
    // A runner that is gone shows in finish().
    [[maybe_unused]] const ssize_t written = write(to_runner_, &number, 1);
}

bool NativeHost::finish(u8 number) {
    pollfd waited = {from_runner_, POLLIN, 0};
    u8 answer = 0;
    const bool answered =
        poll(&waited, 1, kPatienceMilliseconds) == 1 && read(from_runner_, &answer, 1) == 1 && answer == number;
    if (!answered && process_ > 0)
        kill(process_, SIGKILL);
    return answered;
}

} // namespace forkscope::test
