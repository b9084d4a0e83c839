/* Messages between processes: send, receive, sendrec, notify. The kernel keeps no message longer than until the
 * receiver is ready: a sender waits in the receiver's queue. Read do_sync_ipc() first. */
#include "guest/personality/minix/proc.h"
#include "guest/abi/trace.h"
#include "guest/kernel/string.h"

struct proc proc[NR_PROCS];

/* Lets a thread continue, or begin, once no flag stops its process. */
static void make_runnable(struct proc* rp) {
    struct thread* thread = rp->p_thread;
    if (thread == NULL) {
        return;
    }
    if (thread->state == THREAD_NEW) {
        commit_thread(thread);
        thread->saved_eip = (ptr_t)deliver_to_child;
    } else if (thread->state == THREAD_BLOCKED_FIRMLY) {
        wake(thread);
    }
}

/* Sets a reason why a process cannot run. */
void rts_set(struct proc* rp, uint32_t flag) { rp->p_rts_flags |= flag; }

/* Clears a flag; with the last one the process becomes ready. */
void rts_unset(struct proc* rp, uint32_t flag) {
    if ((rp->p_rts_flags & flag) == 0) {
        return;
    }
    rp->p_rts_flags &= ~flag;
    if (rp->p_rts_flags == 0) {
        make_runnable(rp);
    }
}

/* Blocks the running thread until nothing stops its process any more. */
void proc_wait(struct proc* rp) {
    while (rp->p_rts_flags != 0) {
        schedule_block();
    }
}

/* Finds the process that an endpoint names; false if that life of the slot is over, or never was. */
bool isokendpt(endpoint_t endpoint, struct proc** rp) {
    int slot = _ENDPOINT_P(endpoint);
    if (endpoint < 0 || slot >= NR_PROCS) {
        return false;
    }
    *rp = &proc[slot];
    return (*rp)->p_endpoint == endpoint && ((*rp)->p_rts_flags & RTS_SLOT_FREE) == 0;
}

/* Finds the process that a message is for, or from. OK, EBADSRCDST for an endpoint that cannot exist, EDEADSRCDST for
 * one whose process is gone. */
static int find_peer(endpoint_t endpoint, struct proc** rp) {
    if (endpoint < 0 || _ENDPOINT_P(endpoint) >= NR_PROCS) {
        return -EBADSRCDST;
    }
    return isokendpt(endpoint, rp) && !(*rp)->p_exiting ? OK : -EDEADSRCDST;
}

/* Says whether a process waits for a message that this sender may give. */
static bool willreceive(const struct proc* rp, endpoint_t source) {
    return (rp->p_rts_flags & (RTS_RECEIVING | RTS_SENDING)) == RTS_RECEIVING &&
           (rp->p_getfrom_e == ANY || rp->p_getfrom_e == source);
}

/* Returns what a process waits for: an endpoint, ANY, or NONE. */
static endpoint_t blocked_on(const struct proc* rp) {
    if ((rp->p_rts_flags & RTS_SENDING) != 0) {
        return rp->p_sendto_e;
    }
    return (rp->p_rts_flags & RTS_RECEIVING) != 0 ? rp->p_getfrom_e : NONE;
}

/* Says how many processes would wait for each other in a ring if this one waited too; 0 if there is no ring. A ring of
 * two, one sending and one receiving, is no deadlock: they are about to meet. A process that waits for itself waits for
 * ever. */
static int deadlock(int function, const struct proc* cp, endpoint_t src_dst_e) {
    int group_size = 1;
    if (src_dst_e == cp->p_endpoint) {
        return group_size;
    }
    while (src_dst_e != ANY && src_dst_e != NONE && group_size < NR_PROCS) {
        const struct proc* xp = &proc[_ENDPOINT_P(src_dst_e)];
        group_size++;
        src_dst_e = blocked_on(xp);
        if (src_dst_e == cp->p_endpoint) {
            bool other_sends = (xp->p_rts_flags & RTS_SENDING) != 0;
            return group_size == 2 && other_sends != (function == SEND) ? 0 : group_size;
        }
    }
    return 0;
}

/* Puts a message where the receiver takes it from, and tells the trace. */
static void deliver(const struct proc* from, struct proc* to, const message* m, unsigned tracepoint) {
    to->p_delivermsg = *m;
    to->p_delivermsg.m_source = from->p_endpoint;
    trace(tracepoint, (uint32_t)from->p_process->pid, (uint32_t)to->p_process->pid, (uint32_t)m->m_type);
}

/* Sends a message, or queues the caller until the receiver wants it; a page fault is sent this way too. OK, EBADSRCDST,
 * EDEADSRCDST, or ELOCKED if the receiver waits for the caller. */
int mini_send(struct proc* caller, endpoint_t dst_e, const message* m) {
    struct proc* dst;
    int r = find_peer(dst_e, &dst);
    if (r != OK) {
        return r;
    }
    if (willreceive(dst, caller->p_endpoint)) {
        deliver(caller, dst, m, TP_MESSAGE);
        rts_unset(dst, RTS_RECEIVING);
        return OK;
    }
    if (deadlock(SEND, caller, dst_e) != 0) {
        return -ELOCKED;
    }
    caller->p_sendmsg = *m;
    caller->p_sendto_e = dst_e;
    caller->p_q_link = NULL;
    rts_set(caller, RTS_SENDING);
    struct proc** xpp = &dst->p_caller_q;
    while (*xpp != NULL) {
        xpp = &(*xpp)->p_q_link;
    }
    *xpp = caller;
    return OK;
}

/* Takes a pending notification that fits; says whether there was one. Notifications come before messages. */
static bool receive_notification(struct proc* caller, endpoint_t src_e) {
    for (int word = 0; word < NOTIFY_WORDS; word++) {
        for (uint32_t bits = caller->p_notify_pending[word]; bits != 0; bits &= bits - 1) {
            struct proc* from = &proc[word * 32 + __builtin_ctz(bits)];
            if (src_e != ANY && src_e != from->p_endpoint) {
                continue;
            }
            caller->p_notify_pending[word] &= ~(1u << from->p_nr % 32);
            const message m = {.m_type = NOTIFY_MESSAGE};
            deliver(from, caller, &m, TP_NOTIFY);
            return true;
        }
    }
    return false;
}

/* Takes the message of the first queued sender that fits, and lets the sender continue; says whether there was one. */
static bool receive_queued(struct proc* caller, endpoint_t src_e) {
    for (struct proc** xpp = &caller->p_caller_q; *xpp != NULL; xpp = &(*xpp)->p_q_link) {
        struct proc* sender = *xpp;
        if (src_e != ANY && src_e != sender->p_endpoint) {
            continue;
        }
        *xpp = sender->p_q_link;
        deliver(sender, caller, &sender->p_sendmsg, TP_MESSAGE);
        rts_unset(sender, RTS_SENDING);
        return true;
    }
    return false;
}

/* Receives a message from one endpoint or from ANY, or makes the caller wait for it. OK or as mini_send(). */
static int mini_receive(struct proc* caller, endpoint_t src_e) {
    struct proc* src;
    int r = src_e == ANY ? OK : find_peer(src_e, &src);
    if (r != OK) {
        return r;
    }
    if ((caller->p_rts_flags & RTS_SENDING) == 0) {
        if (receive_notification(caller, src_e) || receive_queued(caller, src_e)) {
            return OK;
        }
        if (deadlock(RECEIVE, caller, src_e) != 0) {
            return -ELOCKED;
        }
    }
    caller->p_getfrom_e = src_e;
    rts_set(caller, RTS_RECEIVING);
    return OK;
}

/* Tells a process that there is something, without a message and without ever waiting: at once where it receives, else
 * by a bit that several notifications share. OK, EBADSRCDST or EDEADSRCDST. */
static int mini_notify(struct proc* caller, endpoint_t dst_e) {
    struct proc* dst;
    int r = find_peer(dst_e, &dst);
    if (r != OK) {
        return r;
    }
    if (willreceive(dst, caller->p_endpoint)) {
        message m = {.m_type = NOTIFY_MESSAGE};
        deliver(caller, dst, &m, TP_NOTIFY);
        rts_unset(dst, RTS_RECEIVING);
    } else {
        dst->p_notify_pending[caller->p_nr / 32] |= 1u << caller->p_nr % 32;
    }
    return OK;
}

/* Door: lets VM know that the allocations of its own memory are to be counted, or no longer. */
void failing_ordered(void) { mini_notify(proc_of(current_process), VM_PROC_NR); }

/* Does one IPC call of the running thread, and waits until it is done; the message in kernel memory is what is sent,
 * and then what was received. The caller holds the process's mutex, or has but one thread. OK or a negative error. */
int do_sync_ipc(struct proc* caller, int call_nr, endpoint_t src_dst_e, message* m) {
    int r = OK;
    caller->p_thread = current_thread;
    caller->p_ipc_result = OK;
    switch (call_nr) {
    case SENDREC:
    case SEND:
        r = mini_send(caller, src_dst_e, m);
        if (call_nr == SEND || r != OK) {
            break;
        }
        __attribute__((fallthrough)); /* now for the answer */
    case RECEIVE:
        r = mini_receive(caller, src_dst_e);
        break;
    case NOTIFY:
        r = mini_notify(caller, src_dst_e);
        break;
    default:
        r = -EBADCALL;
        break;
    }
    if (r == OK) {
        proc_wait(caller);
        r = caller->p_ipc_result;
    }
    caller->p_thread = NULL;
    if (r == OK && (call_nr == RECEIVE || call_nr == SENDREC)) {
        *m = caller->p_delivermsg;
    }
    return r;
}

/* Ends the wait of every process that waits for one that is going away, with EDEADSRCDST, and forgets its
 * notifications. */
void clear_ipc_refs(struct proc* rp) {
    for (struct proc* xp = proc; xp < &proc[NR_PROCS]; xp++) {
        xp->p_notify_pending[rp->p_nr / 32] &= ~(1u << rp->p_nr % 32);
        if (xp == rp || (xp->p_rts_flags & RTS_SLOT_FREE) != 0 || blocked_on(xp) != rp->p_endpoint) {
            continue;
        }
        xp->p_ipc_result = -EDEADSRCDST;
        rts_unset(xp, RTS_SENDING);
        rts_unset(xp, RTS_RECEIVING);
    }
    rp->p_caller_q = NULL;
    memset(rp->p_notify_pending, 0, sizeof(rp->p_notify_pending));
}
