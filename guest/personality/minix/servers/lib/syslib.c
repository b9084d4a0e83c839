/* The servers' library: see syslib.h. */
#include "guest/personality/minix/servers/lib/syslib.h"

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

#define LINE_BYTES 256

bool trace_listening;

/* Makes the trap for an IPC call. OK or a negative error. */
static int ipc(int call, endpoint_t who, message* m) {
    return system_call(IPC_CALL, (unsigned)call, (unsigned)who, (unsigned)m, 0, 0);
}

/* Sends, waiting until the receiver takes the message. */
int ipc_send(endpoint_t to, message* m) { return ipc(SEND, to, m); }

/* Receives, waiting until there is a message from that endpoint, or from ANY. */
int ipc_receive(endpoint_t from, message* m) { return ipc(RECEIVE, from, m); }

/* Sends and waits for the answer, which takes the message's place. */
int ipc_sendrec(endpoint_t with, message* m) { return ipc(SENDREC, with, m); }

/* Tells that there is something, without waiting. */
int ipc_notify(endpoint_t to) {
    message unused = {0};
    return ipc(NOTIFY, to, &unused);
}

int taskcall(endpoint_t who, int type, message* m) {
    m->m_type = type;
    int r = ipc_sendrec(who, m);
    return r == OK ? m->m_type : r;
}

void reply(endpoint_t to, message* m, int result) {
    m->m_type = result;
    int r = ipc_send(to, m);
    if (r != OK)
        panic("cannot answer %d: error %d", to, -r);
}

/* Makes the trap for a kernel call. OK or a negative error. */
static int kernel_call(int type, message* m) {
    m->m_type = type;
    return system_call(KERNEL_CALL, 0, 0, (unsigned)m, 0, 0);
}

/* Makes the slot a copy of the parent; see do_fork() in the kernel. */
int sys_fork(endpoint_t parent, int slot, endpoint_t* child, uint32_t flags, vir_bytes* msgaddr, uint32_t* stack) {
    message m = {.SYS_ENDPT = parent, .SYS_FORK_SLOT = slot, .SYS_FORK_FLAGS = flags};
    int r = kernel_call(SYS_FORK, &m);
    *child = m.SYS_FORK_ENDPT;
    *msgaddr = m.SYS_FORK_MSGADDR;
    *stack = m.SYS_FORK_STACK;
    return r;
}

/* Fetches what a process that calls exec has found out about its new program. */
int sys_exec(endpoint_t who, struct exec_info* info) {
    message m = {.SYS_ENDPT = who, .SYS_ADDR = (uint32_t)info};
    return kernel_call(SYS_EXEC, &m);
}

/* Makes a process unreachable and lets its thread continue to exit. */
int sys_exit(endpoint_t who) {
    message m = {.SYS_ENDPT = who};
    return kernel_call(SYS_EXIT, &m);
}

/* Frees the slot of a process that has died. */
int sys_clear(endpoint_t who) {
    message m = {.SYS_ENDPT = who};
    return kernel_call(SYS_CLEAR, &m);
}

/* Gives a new process its queue and its quantum. */
int sys_schedule(endpoint_t who, uint32_t priority, uint32_t quantum) {
    message m = {.SYS_ENDPT = who, .SYS_PRIORITY = priority, .SYS_QUANTUM = quantum};
    return kernel_call(SYS_SCHEDULE, &m);
}

/* Tells the mechanism a child's pid. */
int sys_setpid(endpoint_t who, int pid) {
    message m = {.SYS_ENDPT = who, .SYS_PID = pid};
    return kernel_call(SYS_SETPID, &m);
}

/* References a parent's open files and working directory for its child. */
int sys_dupfiles(endpoint_t child, endpoint_t parent) {
    message m = {.SYS_ENDPT = child, .SYS_PARENT_ENDPT = parent};
    return kernel_call(SYS_DUPFILES, &m);
}

/* Fills a page from a file, then with zeroes. */
int sys_filepage(uint32_t inode, uint32_t offset, uint32_t bytes, phys_bytes page) {
    message m = {.SYS_INODE = inode, .SYS_OFFSET = offset, .SYS_BYTES = bytes, .SYS_DST = page};
    return kernel_call(SYS_FILEPAGE, &m);
}

/* Fills physical memory with one byte. */
int sys_memset(phys_bytes page, uint8_t byte, uint32_t bytes) {
    message m = {.SYS_DST = page, .SYS_BYTE = byte, .SYS_BYTES = bytes};
    return kernel_call(SYS_MEMSET, &m);
}

/* Copies physical memory. */
int sys_abscopy(phys_bytes from, phys_bytes to, uint32_t bytes) {
    message m = {.SYS_SRC = from, .SYS_DST = to, .SYS_BYTES = bytes};
    return kernel_call(SYS_ABSCOPY, &m);
}

/* Asks the kernel for a number; see GET_... . */
uint32_t sys_getinfo(uint32_t what, uint32_t argument) {
    message m = {.m_u32 = {what, argument}};
    int r = kernel_call(SYS_GETINFO, &m);
    if (r != OK)
        panic("sys_getinfo %u: error %d", what, -r);
    return m.SYS_INFO;
}

/* VM's calls; the message holds the other parameters and takes the results. */
int sys_vmctl(endpoint_t who, uint32_t param, message* m) {
    m->SYS_ENDPT = who;
    m->SVMCTL_PARAM = param;
    return kernel_call(SYS_VMCTL, m);
}

/* Makes a kernel call whose argument is a formatted line: to print it, or to end the machine with it. */
static void say(int call, const char* format, va_list arguments) {
    char line[LINE_BYTES];
    int length = vsnprintf(line, sizeof(line), format, arguments);
    message m = {.SYS_ADDR = (uint32_t)line, .SYS_BYTES = length < LINE_BYTES ? (uint32_t)length : LINE_BYTES - 1};
    kernel_call(call, &m);
}

void diag(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(SYS_DIAGCTL, format, arguments);
    va_end(arguments);
}

void panic(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(SYS_ABORT, format, arguments);
    va_end(arguments);
    for (;;)
        __asm__ volatile("ud2");
}
