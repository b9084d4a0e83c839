/* Owns: what every server needs: IPC, kernel calls as functions (sys_...), a line on the console, tracepoints.
 * Callers: the servers. Promises: each function is one trap and nothing more; results are negative errors. */
#ifndef MINIX_SERVERS_SYSLIB_H
#define MINIX_SERVERS_SYSLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/abi/trace.h"
#include "guest/personality/minix/abi/com.h"

typedef uint32_t vir_bytes;
typedef uint32_t phys_bytes;

/* Messages. */

int ipc_send(endpoint_t to, message* m);
int ipc_receive(endpoint_t from, message* m);
int ipc_sendrec(endpoint_t with, message* m);
int ipc_notify(endpoint_t to);
/* Asks another server and returns the answer's type; m holds the question, then the answer. */
int taskcall(endpoint_t who, int type, message* m);
/* Answers a request with a result and the rest of the message. Panics if the caller is gone: it should be in sendrec.
 */
void reply(endpoint_t to, message* m, int result);

/* Kernel calls. */

int sys_fork(endpoint_t parent, int slot, endpoint_t* child, uint32_t flags, vir_bytes* msgaddr, uint32_t* stack);
int sys_exec(endpoint_t who, struct exec_info* info);
int sys_exit(endpoint_t who);
int sys_clear(endpoint_t who);
int sys_schedule(endpoint_t who, uint32_t priority, uint32_t quantum);
int sys_setpid(endpoint_t who, int pid);
int sys_dupfiles(endpoint_t child, endpoint_t parent);
int sys_filepage(uint32_t inode, uint32_t offset, uint32_t bytes, phys_bytes page);
int sys_memset(phys_bytes page, uint8_t byte, uint32_t bytes);
int sys_abscopy(phys_bytes from, phys_bytes to, uint32_t bytes);
uint32_t sys_getinfo(uint32_t what, uint32_t argument);
int sys_vmctl(endpoint_t who, uint32_t param, message* m);

/* Prints on the kernel's console. */
void diag(const char* format, ...) __attribute__((format(printf, 1, 2)));
/* Makes the kernel panic with a line of the server's: its invariants are broken. */
void panic(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define SERVER_ASSERT(condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            panic("%s:%d: assertion failed: %s", __FILE_NAME__, __LINE__, #condition);                                 \
    } while (0)

#endif
