/* Owns: PM's table of processes, one entry a slot, and the calls that PM answers.
 * Callers: PM's files. Promises: a slot is in use from fork until its process has been waited for. */
#ifndef MINIX_PM_MPROC_H
#define MINIX_PM_MPROC_H

#include "guest/personality/minix/servers/lib/syslib.h"

#define LAST_FEW 2 /* slots that only the superuser may take */
#define NR_PIDS 30000
#define INIT_PID 1
#define SUPER_USER 0 /* there are no users here: init alone counts as one */
#define SOME_USER 1

#define IN_USE 0x001u
#define EXITING 0x004u
#define PRIV_PROC 0x080u   /* a server: never forks, never dies */
#define INHERITED (IN_USE) /* what a child takes over of its parent's flags */

struct mproc {
    unsigned mp_flags;
    endpoint_t mp_endpoint;
    int mp_pid;
    int mp_procgrp; /* the pid of the group's leader */
    int mp_parent;  /* slot */
    int mp_effuid;
};

extern struct mproc mproc[NR_PROCS];
extern int procs_in_use;

/* Finds the slot of an endpoint. OK, or -EINVAL if its process is gone. */
int pm_isokendpt(endpoint_t endpoint, int* slot);

/* The calls: each returns the result that the caller gets, or SUSPEND where the answer comes otherwise. */
#define SUSPEND 998
int do_fork(struct mproc* rmp, message* m);
int do_exit(struct mproc* rmp);
int do_cleanup(message* m);
int do_exec(struct mproc* rmp, message* m);
int do_exec_restart(struct mproc* rmp, message* m);

#endif
