#include "emu/cli/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu/base/log.hpp"
#include "emu/base/result.hpp"
#include "emu/files/outlet.hpp"

namespace forkscope {

namespace {

constexpr int kPatience = 2000; // milliseconds

std::terminate_handler default_terminate = nullptr;
bool in_main = false;

// Memory that is missing where nothing may be thrown, in a destructor for example, is no bug of ours. Before main there
// may be too little even for the exception.
[[noreturn]] void terminate_without_memory() {
    const std::exception_ptr thrown = std::current_exception();
    try {
        if (thrown)
            std::rethrow_exception(thrown);
        if (!in_main)
            ::_exit(report_no_memory());
    } catch (const std::bad_alloc&) {
        ::_exit(report_no_memory());
    } catch (...) {
    }
    default_terminate();
    std::abort();
}

// Static objects take memory, too.
[[gnu::constructor(101)]] void before_static_objects() {
    default_terminate = std::set_terminate(terminate_without_memory);
}

// open(2) gives the lowest descriptor that is free: without this a trace could become standard output.
void open_standard_descriptors() {
    for (int descriptor = ::open("/dev/null", O_RDWR); descriptor >= 0; descriptor = ::dup(descriptor)) {
        if (descriptor > STDERR_FILENO) {
            ::close(descriptor);
            break;
        }
    }
}

constexpr std::size_t kStackBytes = std::size_t{512} << 10;
constexpr std::size_t kStackPage = 4096;

// A frame of its own: with the room in the caller's the first call there would already touch the far end.
[[gnu::noinline]] void touch_stack() {
    volatile char stack[kStackBytes];
    for (std::size_t at = kStackBytes; at >= kStackPage; at -= kStackPage) // downwards, as it grows
        stack[at - 1] = 0;
    static_cast<void>(stack[0]);
}

// The kernel grows a stack page by page, and a page that it cannot have is SIGSEGV: asked for while it can be refused.
bool reserve_stack() {
    constexpr std::size_t kRoom = kStackBytes + 16 * kStackPage;
    void* const room = ::mmap(nullptr, kRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED)
        return false;
    ::munmap(room, kRoom);
    touch_stack();
    return true;
}

// Once nobody reads them, messages no longer wait.
void write_message(std::string_view lines) {
    static const Outlet outlet(STDERR_FILENO);
    static bool stalled = false;
    stalled = outlet.write_all(bytes_of_text(lines), stalled ? 0 : kPatience).trouble == ETIMEDOUT;
}

} // namespace

void set_up_process() {
    in_main = true;
    open_standard_descriptors();
    set_message_writer(write_message);
    // Full disks and readers that go away are errors to be reported, not signals to die of.
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    if (!reserve_stack())
        ::_exit(report_no_memory());
}

int report_no_memory() {
    constexpr std::string_view kMessage =
        "forkscope: the host has no more memory for this program; close other programs, raise its limit (ulimit -v), "
        "or give the machine less with -m\n";
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&room, 1, kPatience) == 1)
        static_cast<void>(!::write(STDERR_FILENO, kMessage.data(), kMessage.size()));
    return static_cast<int>(ExitCode::RuntimeError);
}

} // namespace forkscope
