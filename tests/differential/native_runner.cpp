// Executes test cases on this host's processor. A program of its own, built without sanitizers: nothing but the test's
// pages may lie below 4 GB. One loop: the signal of one program's end installs the next and returns into it.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <asm/ldt.h>
#include <asm/prctl.h>

#include "native_protocol.hpp"

namespace forkscope::test {
namespace {

constexpr int kSkipped = 77;
constexpr int kSharedFile = 3;

SharedMemory* shared;
u8* code_alias; // the code, writable, above 4 GB
Batch* batch;
u32 next_case;
u32 dirty_from, dirty_size; // the last program's code
gregset_t main_context;
u64 own_fs_base; // of the C library's thread data
u16 program_fs;

// The kernel keeps these across a signal return, and AC would fault on our own accesses.
inline void clear_odd_flags() {
    asm volatile("pushfq\n andq %0, (%%rsp)\n popfq" ::"r"(~0x244400ul) : "memory", "cc"); // ID, AC, NT, DF
}

u64 segments_word(u64 old, u16 cs, u16 ss) { return (old & 0x0000'FFFF'FFFF'0000ul) | cs | static_cast<u64>(ss) << 48; }

// The C library's FS, without the C library.
void take_back_fs() {
    asm volatile("mov %%fs, %0" : "=r"(program_fs));
    long number = SYS_arch_prctl;
    asm volatile("syscall" : "+a"(number) : "D"(ARCH_SET_FS), "S"(own_fs_base) : "rcx", "r11", "memory");
}

constexpr int kGeneral[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};

// Of the signal frame, to which the kernel saves with XSAVE and from which it restores (SDM 1, 13.4).
void record_floats(const void* image, FloatRegisters& floats) {
    std::memcpy(&floats, image, sizeof(floats));
    std::memset(floats.left_out, 0, sizeof(floats.left_out));
    floats.reserved = 0;
    floats.mxcsr_mask = 0;
}

void install_floats(const FloatRegisters& floats, void* image) {
    std::memcpy(image, &floats, sizeof(floats));
    constexpr u32 kSoftwareBytes = 464;
    constexpr u32 kExtendedHeader = 512;
    u32 magic;
    std::memcpy(&magic, static_cast<u8*>(image) + kSoftwareBytes, sizeof(magic));
    if (magic == FP_XSTATE_MAGIC1)
        static_cast<u8*>(image)[kExtendedHeader] |= 3; // x87 and SSE are not in their initial state
}

void record(const gregset_t& context, Outcome& outcome) {
    for (int i = 0; i < 8; ++i)
        outcome.end.gpr[i] = static_cast<u32>(context[kGeneral[i]]);
    outcome.end.eip = static_cast<u32>(context[REG_RIP]);
    outcome.end.eflags = static_cast<u32>(context[REG_EFL]);
    outcome.end.cs = static_cast<u16>(context[REG_CSGSFS]);
    outcome.end.ss = static_cast<u16>(static_cast<u64>(context[REG_CSGSFS]) >> 48);
    outcome.vector = static_cast<u32>(context[REG_TRAPNO]);
    outcome.error = static_cast<u32>(context[REG_ERR]);
    outcome.cr2 = static_cast<u32>(context[REG_CR2]);
    asm volatile("mov %%ds, %0" : "=r"(outcome.end.ds));
    asm volatile("mov %%es, %0" : "=r"(outcome.end.es));
    asm volatile("mov %%gs, %0" : "=r"(outcome.end.gs));
    outcome.end.fs = program_fs;
    std::memcpy(outcome.data, reinterpret_cast<void*>(u64{kDataAddress}), kDataBytes);
}

void install(const TestCase& test, gregset_t& context) {
    std::memset(code_alias + dirty_from, kCodeFiller, dirty_size);
    dirty_from = test.code_offset;
    dirty_size = test.code_size < kCodeBytes - dirty_from ? test.code_size : kCodeBytes - dirty_from;
    std::memcpy(code_alias + dirty_from, test.code, dirty_size);
    std::memcpy(reinterpret_cast<void*>(u64{kDataAddress}), shared->images[test.image], kDataBytes);
    for (int i = 0; i < 8; ++i)
        context[kGeneral[i]] = test.start.gpr[i];
    context[REG_RIP] = test.start.eip;
    context[REG_EFL] = test.start.eflags;
    context[REG_CSGSFS] =
        static_cast<greg_t>(segments_word(static_cast<u64>(context[REG_CSGSFS]), test.start.cs, test.start.ss));
    asm volatile("mov %0, %%ds" ::"r"(test.start.ds));
    asm volatile("mov %0, %%es" ::"r"(test.start.es));
    asm volatile("mov %0, %%gs" ::"r"(test.start.gs));
    program_fs = test.start.fs;
}

void on_signal(int, siginfo_t*, void* argument) {
    clear_odd_flags();
    take_back_fs();
    gregset_t& context = static_cast<ucontext_t*>(argument)->uc_mcontext.gregs;
    void* const image = static_cast<ucontext_t*>(argument)->uc_mcontext.fpregs;
    if (next_case == 0) {
        std::memcpy(main_context, context, sizeof(main_context));
    } else {
        record(context, batch->outcomes[next_case - 1]);
        record_floats(image, batch->outcomes[next_case - 1].end.floats);
        batch->done = next_case;
    }
    if (next_case >= batch->count) {
        std::memcpy(context, main_context, sizeof(main_context));
        install_floats({}, image);
        return;
    }
    install_floats(batch->cases[next_case].start.floats, image);
    install(batch->cases[next_case++], context);
    asm volatile("mov %0, %%fs" ::"r"(program_fs)); // nothing of the C library's from here on
}

[[noreturn]] void give_up(int status, const char* what) {
    std::fprintf(stderr, "native_runner: %s: %s\n", what, std::strerror(errno));
    std::_Exit(status);
}

bool low_memory_is_empty() {
    FILE* maps = std::fopen("/proc/self/maps", "r");
    if (maps == nullptr)
        return false;
    unsigned long start = ~0ul;
    const bool read = std::fscanf(maps, "%lx", &start) == 1;
    std::fclose(maps);
    return read && start >= 1ul << 32;
}

void map_world() {
    if (!low_memory_is_empty())
        give_up(kSkipped, "something lies below 4 GB already");
    const int file = memfd_create("code", 0);
    if (file < 0 || ftruncate(file, kCodeBytes) != 0)
        give_up(kSkipped, "cannot make memory for code");
    code_alias = static_cast<u8*>(mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    void* const code = mmap(reinterpret_cast<void*>(u64{kCodeAddress}), kCodeBytes, PROT_READ | PROT_EXEC,
                            MAP_SHARED | MAP_FIXED, file, 0);
    void* const data = mmap(reinterpret_cast<void*>(u64{kDataAddress}), kDataBytes + kReadOnlyBytes,
                            PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (code_alias == MAP_FAILED || code == MAP_FAILED || data == MAP_FAILED)
        give_up(kSkipped, "cannot map the program's pages");
    std::memset(code_alias, kCodeFiller, kCodeBytes);
    void* const read_only = reinterpret_cast<void*>(u64{kReadOnlyAddress});
    std::memcpy(read_only, shared->read_only, kReadOnlyBytes);
    if (mprotect(read_only, kReadOnlyBytes, PROT_READ) != 0)
        give_up(kSkipped, "cannot protect the read-only page");
    volatile const u8* bytes = static_cast<const u8*>(code);
    for (u32 i = 0; i < kCodeBytes; i += 4096)
        (void)bytes[i]; // so that the page is there, and a store into it is a protection fault
}

bool fill_ldt() {
    for (u32 entry = 0; entry < kLdtEntries; ++entry) {
        const LdtSegment& segment = kLdtSegments[entry];
        user_desc description = {};
        description.entry_number = entry;
        description.base_addr = segment.base;
        description.limit = segment.limit;
        description.seg_32bit = segment.big;
        description.contents = segment.contents;
        description.read_exec_only = segment.read_only;
        description.limit_in_pages = segment.granular;
        description.seg_not_present = !segment.present;
        if (syscall(SYS_modify_ldt, 0x11, &description, sizeof(description)) != 0)
            return false;
    }
    return true;
}

// Is there a 32-bit code segment at all? A kernel without 32-bit programs may have none.
bool can_run_32_bit_code() {
    u32 rights = 0;
    bool valid = false;
    asm("larl %2, %0\n setz %1" : "+r"(rights), "=q"(valid) : "r"(u32{kFlatCode}) : "cc");
    return valid && (rights & 0x0060'0000) == 0x0040'0000; // D, and not L
}

void catch_signals() {
    static u8 stack[1 << 16];
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof(stack);
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    bool good = sigaltstack(&alternate, nullptr) == 0;
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP})
        good = good && sigaction(signal, &action, nullptr) == 0;
    if (!good)
        give_up(kSkipped, "cannot catch signals");
}

} // namespace

int run() {
    void* const mapped = mmap(nullptr, sizeof(SharedMemory), PROT_READ | PROT_WRITE, MAP_SHARED, kSharedFile, 0);
    if (mapped == MAP_FAILED)
        give_up(1, "no shared memory as file descriptor 3; the tests start this program");
    shared = static_cast<SharedMemory*>(mapped);
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &own_fs_base) != 0)
        give_up(kSkipped, "this kernel does not tell where FS points");
    if (!can_run_32_bit_code())
        give_up(kSkipped, "this kernel has no 32-bit code segment");
    map_world();
    shared->has_ldt = fill_ldt() ? 1 : 0;
    catch_signals();
    u8 number = 0xFF;
    if (write(STDOUT_FILENO, &number, 1) != 1) // ready
        return 1;
    while (read(STDIN_FILENO, &number, 1) == 1 && number < 2) {
        batch = &shared->batches[number];
        next_case = 0;
        batch->done = 0;
        asm volatile("int3" ::: "memory", "cc");
        if (write(STDOUT_FILENO, &number, 1) != 1)
            return 1;
    }
    return 0;
}

} // namespace forkscope::test

int main() { return forkscope::test::run(); }
