#include "native_host.hpp"

#include <algorithm>
#include <csignal>
#include <initializer_list>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emu/base/assert.hpp"

namespace forkscope::test {

namespace {
constexpr u32 kBreakpointVector = 3;
constexpr int kPatienceMilliseconds = 5'000;

// Answers that every processor gives, to find out whether this kernel lets programs run and tells how they end.
struct KnownAnswer {
    const char* what;
    bool in_16_bits;
    std::initializer_list<u8> code;
    u32 vector, error, cr2, eax;
};
const KnownAnswer kKnownAnswers[] = {
    {"does not run 32-bit code", false, {0xB8, 0xFF, 0x00, 0x01, 0x00, 0x40}, kBreakpointVector, 0, 0, 0x10100},
    {"does not tell about page faults", false, {0x31, 0xC0, 0x8A, 0x05, 0x56, 0x34, 0x12, 0x30}, 14, 4, 0x30123456, 0},
    {"does not tell about undefined opcodes", false, {0x31, 0xC0, 0x0F, 0x0B}, 6, 0, 0, 0},
    {"does not tell about protection faults", false, {0x31, 0xC0, 0xF4}, 13, 0, 0, 0},
    {"does not tell error codes", false, {0xB8, 0xF8, 0xFF, 0, 0, 0x8E, 0xC0}, 13, 0xFFF8, 0, 0xFFF8},
    {"does not run 16-bit code", true, {0x66, 0xB8, 0xFF, 0xFF, 0x00, 0x00, 0x40}, kBreakpointVector, 0, 0, 0},
};
} // namespace

NativeHost::NativeHost() {
    file_ = memfd_create("cases", 0);
    const bool sized = file_ >= 0 && ftruncate(file_, sizeof(SharedMemory)) == 0;
    void* const mapped =
        sized ? mmap(nullptr, sizeof(SharedMemory), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0) : MAP_FAILED;
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
    if (finish(0xFF)) {
        shared_->has_ldt = ldt_is_useless_ ? 0 : shared_->has_ldt;
        return probe();
    }
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return "this host cannot run 32-bit code (see standard error)";
    return std::string("the native runner does not start: ") + FORKSCOPE_NATIVE_RUNNER;
}

std::string NativeHost::probe() {
    Batch& batch = shared_->batches[0];
    for (const KnownAnswer& known : kKnownAnswers) {
        if (known.in_16_bits && shared_->has_ldt == 0)
            continue;
        TestCase test;
        test.start.eflags = 0x202;
        test.start.cs = known.in_16_bits ? ldt_selector(kCode16) : kFlatCode;
        test.start.eip = known.in_16_bits ? 0 : kCodeAddress;
        test.code_size = static_cast<u32>(known.code.size());
        std::copy(known.code.begin(), known.code.end(), test.code);
        batch.count = 1;
        batch.cases[0] = test;
        begin(0);
        const Outcome& answer = batch.outcomes[0];
        const bool right = finish(0) && answer.vector == known.vector && answer.error == known.error &&
                           (known.vector != 14 || answer.cr2 == known.cr2) && answer.end.gpr[0] == known.eax;
        if (!right && known.in_16_bits) { // and the runner may be gone
            ldt_is_useless_ = true;
            return start();
        }
        if (!right)
            return std::string("this kernel ") + known.what;
    }
    return {};
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
