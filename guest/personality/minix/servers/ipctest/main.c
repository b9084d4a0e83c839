/* ipctest: three servers that try every kind of message on each other, on VM, and on endpoints that do not exist. The
 * boot word ipctest loads them all from this program; the driver prints the verdict. Each step names what it expects;
 * the others follow the driver's orders. */
#include "guest/personality/minix/servers/lib/syslib.h"

#define DRIVER TEST_PROC_NR
#define PEER (TEST_PROC_NR + 1)
#define THIRD (TEST_PROC_NR + 2)
#define ECHO 1       /* answer with the argument plus one */
#define SEND_TO_ME 2 /* send a message of your own, without waiting for a question */
#define CROSS 3      /* send to me while I send to you */
#define LISTEN 4     /* receive from me alone, while I receive from you alone */
#define NOTE_ME 5    /* notify me three times, then send a message */
#define RING 6       /* peer: send to the third; third: send to me, then take the peer's */

static int failures, checks;

/* Counts a check; prints what went wrong. */
static void check(const char* what, int actual, int expected) {
    checks++;
    if (actual != expected) {
        failures++;
        diag("ipctest: %s: %d, not %d\n", what, actual, expected);
    }
}

/* Sends a server an order, which it carries out when it has received it. */
static void order_to(endpoint_t whom, int what) {
    message m = {.m_type = what};
    check("an order", ipc_send(whom, &m), OK);
}

/* Gives the peer an order. */
static void order(int what) { order_to(PEER, what); }

/* A question gets its answer, with the fields of both and the source filled in by the kernel. */
static void test_sendrec(void) {
    message m = {.m_source = 77, .m_type = ECHO, .m_u32 = {41}};
    check("sendrec", ipc_sendrec(PEER, &m), OK);
    check("the answer", (int)m.m_u32[0], 42);
    check("its source", m.m_source, PEER);
    for (uint32_t i = 0; i < MESSAGE_WORDS; i++)
        m.m_u32[i] = i;
    m.m_type = ECHO;
    check("sendrec with all fields", ipc_sendrec(PEER, &m), OK);
    for (uint32_t i = 1; i < MESSAGE_WORDS; i++)
        check("a field that comes back", (int)m.m_u32[i], (int)i);
}

/* A message is received from ANY and from its sender by name. */
static void test_receive(void) {
    message m;
    order(SEND_TO_ME);
    check("receive from ANY", ipc_receive(ANY, &m), OK);
    check("the type received", m.m_type, SEND_TO_ME);
    order(SEND_TO_ME);
    check("receive from the peer", ipc_receive(PEER, &m), OK);
    check("the source received", m.m_source, PEER);
}

/* Notifications wait as one bit, come before messages, and never block. */
static void test_notify(void) {
    message m;
    order(NOTE_ME);
    check("receive a notification", ipc_receive(PEER, &m), OK);
    check("its type", m.m_type, NOTIFY_MESSAGE);
    check("its source", m.m_source, PEER);
    check("receive after it", ipc_receive(PEER, &m), OK);
    while (m.m_type == NOTIFY_MESSAGE) /* those that came after the first was taken are one more */
        check("receive after it", ipc_receive(PEER, &m), OK);
    check("the message behind the notifications", m.m_type, NOTE_ME);
    check("notify nobody", ipc_notify(200), -EDEADSRCDST);
}

/* Two servers that would wait for each other: both sending, both receiving. Exactly one of them is refused; the other
 * gets through afterwards. */
static void test_deadlock(void) {
    message m = {.m_type = CROSS};
    order(CROSS); /* the peer is about to send to us, or does so already */
    int r = ipc_send(PEER, &m);
    check("one of two who send to each other is refused", r == OK || r == -ELOCKED, 1);
    if (r == -ELOCKED)
        check("the other's message", ipc_receive(PEER, &m), OK);
    m.m_type = ECHO;
    check("how it went there", ipc_sendrec(PEER, &m), OK);
    check("exactly one is refused", (r == -ELOCKED) + (int)m.m_u32[1], 1);
    order(LISTEN);
    r = ipc_receive(PEER, &m);
    check("one of two who wait for each other is refused", r == OK || r == -ELOCKED, 1);
    if (r == -ELOCKED)
        order(LISTEN);
    check("its type", r == OK ? m.m_type : LISTEN, LISTEN);
}

/* Three servers that would wait for each other in a ring: the last to try is refused, and then all get through. The
 * question to VFS lets the other two run until they wait. */
static void test_ring(void) {
    message m = {0};
    order_to(THIRD, RING);
    order(RING);
    check("VFS is there", taskcall(VFS_PROC_NR, VFS_PM_FORK, &m), -EPERM);
    m.m_type = ECHO;
    check("closing a ring of three", ipc_send(PEER, &m), -ELOCKED);
    check("the third's message", ipc_receive(THIRD, &m), OK);
    m.m_type = ECHO;
    m.m_u32[0] = 1;
    check("the peer afterwards", ipc_sendrec(PEER, &m), OK);
    check("its answer", (int)m.m_u32[0], 2);
}

/* Endpoints of another generation, of a free slot, and of no slot at all. */
static void test_endpoints(void) {
    message m = {.m_type = ECHO};
    endpoint_t stale = _ENDPOINT(3, PEER);
    check("send to a stale endpoint", ipc_send(stale, &m), -EDEADSRCDST);
    check("sendrec with a stale endpoint", ipc_sendrec(stale, &m), -EDEADSRCDST);
    check("receive from a stale endpoint", ipc_receive(stale, &m), -EDEADSRCDST);
    check("notify a stale endpoint", ipc_notify(stale), -EDEADSRCDST);
    check("send to a free slot", ipc_send(NR_PROCS - 1, &m), -EDEADSRCDST);
    check("send to no slot", ipc_send(NR_PROCS, &m), -EBADSRCDST);
    check("send to ANY", ipc_send(ANY, &m), -EBADSRCDST);
    check("send to -1", ipc_send(-1, &m), -EBADSRCDST);
    check("send to oneself", ipc_send(DRIVER, &m), -ELOCKED);
    check("receive from oneself", ipc_receive(DRIVER, &m), -ELOCKED);
    check("who am I", (int)sys_getinfo(GET_WHOAMI, 0), DRIVER);
}

/* Waiting for a process that dies ends with an error, and its endpoint stays dead although the slot is used again. The
 * boot word run= must start processes one after another. */
static void test_death(void) {
    message m;
    endpoint_t mortal = NONE;
    while (mortal == NONE) /* the shell's first child: programs run before us, so this is when they sleep */
        mortal = (endpoint_t)sys_getinfo(GET_ENDPT, FIRST_USER_SLOT + 1);
    check("notify a living process", ipc_notify(mortal), OK);
    check("wait for a process that dies", ipc_receive(mortal, &m), -EDEADSRCDST);
    check("send to it afterwards", ipc_send(mortal, &m), -EDEADSRCDST);
    m.VMF_ENDPOINT = mortal;
    m.VMF_SLOTNO = NR_PROCS - 1;
    check("VM_FORK of a dead process", taskcall(VM_PROC_NR, VM_FORK, &m), -EINVAL);
}

/* Kernel calls and VM's calls that this server may not make, and a fork that cannot be. */
static void test_refusals(void) {
    message m = {.VMF_ENDPOINT = _ENDPOINT(9, INIT_PROC_NR), .VMF_SLOTNO = 30};
    check("a forbidden kernel call", sys_clear(PEER), -EPERM);
    check("VM_FORK of a bogus endpoint", taskcall(VM_PROC_NR, VM_FORK, &m), -EINVAL);
    m.VMF_ENDPOINT = INIT_PROC_NR;
    m.VMF_SLOTNO = NR_PROCS;
    check("VM_FORK into a slot too high", taskcall(VM_PROC_NR, VM_FORK, &m), -EINVAL);
    m.VMF_ENDPOINT = INIT_PROC_NR;
    m.VMF_SLOTNO = -1;
    check("VM_FORK into a slot below 0", taskcall(VM_PROC_NR, VM_FORK, &m), -EINVAL);
    m.VMF_ENDPOINT = INIT_PROC_NR;
    m.VMF_SLOTNO = INIT_PROC_NR;
    check("VM_FORK into a slot in use", taskcall(VM_PROC_NR, VM_FORK, &m), -EINVAL);
    check("a call that VM does not have", taskcall(VM_PROC_NR, VM_RQ_BASE + 99, &m), -ENOSYS);
    check("a call that is not ours", taskcall(VM_PROC_NR, VM_BRK, &m), -EPERM);
    check("VFS hears PM alone", taskcall(VFS_PROC_NR, VFS_PM_FORK, &m), -EPERM);
}

/* Does one order of the driver. Returns whether it was refused as a deadlock. */
static bool obey(message* m) {
    int r = OK;
    switch (m->m_type) {
    case ECHO:
        reply(DRIVER, m, ECHO);
        return false;
    case RING:
        if (sys_getinfo(GET_WHOAMI, 0) == PEER)
            return ipc_send(THIRD, m) != OK;
        ipc_send(DRIVER, m);
        ipc_receive(PEER, m);
        return false;
    case NOTE_ME:
        for (int i = 0; i < 3; i++)
            ipc_notify(DRIVER);
        ipc_send(DRIVER, m);
        return false;
    case LISTEN:
        r = ipc_receive(DRIVER, m);
        if (r == -ELOCKED)
            ipc_send(DRIVER, m);
        return false;
    default:
        r = ipc_send(DRIVER, m);
        if (r == -ELOCKED) /* then the driver's is there */
            ipc_receive(DRIVER, m);
        return r == -ELOCKED;
    }
}

/* The peer and the third: obey for ever, and say in each echo whether they have been refused. */
static void be_peer(void) {
    message m;
    bool refused = false;
    for (;;) {
        ipc_receive(DRIVER, &m);
        if (m.m_type == ECHO && m.m_u32[1] == 0)
            m.m_u32[1] = refused;
        if (m.m_type == ECHO)
            m.m_u32[0]++;
        refused = obey(&m);
    }
}

/* Runs the tests in the driver, prints the verdict, and rests. */
int main(void) {
    message m;
    if (sys_getinfo(GET_WHOAMI, 0) != DRIVER)
        be_peer();
    test_sendrec();
    test_receive();
    test_notify();
    test_endpoints();
    test_refusals();
    test_deadlock();
    test_ring();
    test_death();
    diag("ipctest: %d checks, %d failed\n", checks, failures);
    for (;;)
        ipc_receive(ANY, &m);
}
