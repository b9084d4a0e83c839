/* fork as LunaixOS does it. Read dup_proc() first; the numbers are the stops of README.md. */
#include "guest/abi/trace.h"
#include "guest/kernel/panic.h"
#include "guest/kernel/traps/trap.h"
#include "guest/personality/lunaix/lunaix.h"

/* Prepares one region of the child, and of the parent if both must change; its space is mounted at VMS_MOUNT_1. WSHARED
 * stays as it was copied. RSHARED becomes read-only on both sides, so that the next write of either faults. A private
 * page is removed from the child, and the leaflet that the copy of its entry had borrowed is returned. */
static void region_maybe_cow(struct mm_region* region) {
    int attr = region->attr & REGION_MODE_MASK;
    if (attr == REGION_WSHARED) {
        return;
    }
    for (pfn_t pn = pfn(region->start); pn < pfn(region->end); pn++) {
        if (!ptep_table_present(VMS_MOUNT_1, pn)) {
            pn |= PDE_COUNT - 1; /* no table, no pages: continue after it */
            continue;
        }
        pte_t* self = mkptep_pn(VMS_SELF, pn);
        pte_t* guest = mkptep_pn(VMS_MOUNT_1, pn);
        pte_t pte = *guest;
        if (attr == REGION_RSHARED) {
            if (!pte_iswprotect(pte)) { /* a guard page's entry stands, unless `oldguard` gave it the right to write */
                set_pte(self, pte_mkwprotect(*self));
                set_pte(guest, pte_mkwprotect(pte));
            }
        } else if (pte_isloaded(pte)) {
            set_pte(guest, null_pte);
            leaflet_return(pte_leaflet(pte));
        }
    }
    tlb_flush_vmr_all(region);
}

/* Fills the child's slot: pid, parent, name, a copy of the command line, a reference on the working directory, signal
 * actions. 0 or -ENOMEM.
 */
static int __dup_slot(struct process* pcb) {
    pcb->pid = process_next_pid();
    pcb->parent = __current;
    if (process_inherit_name(pcb, __current) < 0) {
        return -ENOMEM;
    }
    pcb->working_directory = __current->working_directory;
    node_share(pcb->working_directory);
    signal_dup_actions(pcb);
    return 0;
}

/* Gives the child a table with a reference of its own on every open file; parent and child share the offsets. 0 or
 * -ENOMEM. */
static int __dup_fdtable(struct process* pcb) {
    pcb->descriptors = descriptors_copy(__current->descriptors);
    return pcb->descriptors != NULL ? 0 : -ENOMEM;
}

/* Gives the child's thread a kernel stack at the same address, with the same bytes: the saved registers of the user
 * program, eax = 0 among them, travel with it. A leaflet may cover several pages, so index and both entry pointers
 * advance by what was mapped. 0, or -ENOMEM with a part mapped, which delete_thread() unmaps. */
static int __dup_kernel_stack(struct thread* thread, ptr_t vm_mnt) {
    struct proc_mm* mm = vmspace(thread->process);
    pfn_t kstack_pn = pfn(current_thread->kstack - KSTACK_SIZE);
    if (!pmap_kstack_table(mm->vmroot)) {
        return -ENOMEM;
    }
    pte_t* src_ptep = mkptep_pn(VMS_SELF, kstack_pn);
    pte_t* dest_ptep = mkptep_pn(vm_mnt, kstack_pn);
    for (size_t i = 0; i < pfn(KSTACK_SIZE);) {
        unsigned pages = 1;
        if (pte_isguardian(src_ptep[i])) {
            set_pte(&dest_ptep[i], guard_pte);
        } else {
            struct leaflet* leaflet = dup_leaflet(pte_leaflet(src_ptep[i]));
            if (leaflet == NULL) {
                return -ENOMEM;
            }
            pages = ptep_map_leaflet(&dest_ptep[i], src_ptep[i], leaflet);
        }
        i += pages;
    }
    tlb_flush_mm_range(mm, kstack_pn, pfn(KSTACK_SIZE));
    return 0;
}

/* Takes the user stacks of the parent's other threads, which the child does not have, out of the child, and notes
 * which stack is the surviving thread's. */
static void __keep_own_stack(struct thread* thread, ptr_t vm_mnt) {
    struct mm_region* old_stack = current_thread->ustack;
    struct mm_region *pos, *following;
    if (old_stack == NULL) {
        return;
    }
    list_for_each(pos, following, &vmspace(thread->process)->regions, head) {
        if (!stack_region(pos)) {
            continue;
        }
        if (same_region(pos, old_stack)) {
            thread->ustack = pos;
        } else {
            mem_unmap_region(vm_mnt, pos);
        }
    }
    KERNEL_ASSERT(thread->ustack != NULL);
}

/* Makes fork return 0 in a thread, by the eax that is restored when it leaves the kernel. The frame is still on the
 * parent's kernel stack here: the copy carries the zero over, and the parent's own result overwrites it later. */
static void store_retval_to(struct thread* thread, int value) { thread->hstate->eax = (uint32_t)value; }

/* Makes the calling thread the only thread of the child. NULL if out of memory; what was built belongs to the process.
 * */
static struct thread* dup_active_thread(ptr_t vm_mnt, struct process* duped_pcb) {
    struct thread* th = alloc_thread(duped_pcb);
    if (th == NULL) {
        return NULL;
    }
    th->hstate = current_thread->hstate;
    th->kstack = current_thread->kstack;
    signal_dup_context(&th->sigctx);
    store_retval_to(th, 0);
    if (__dup_kernel_stack(th, vm_mnt) < 0) {
        return NULL;
    }
    __keep_own_stack(th, vm_mnt);
    return th;
}

/* Emits one of fork's tracepoints. */
static void trace_stop(unsigned id, const struct process* pcb, uint32_t value) {
    trace(id, (uint32_t)__current->pid, pcb != NULL ? (uint32_t)pcb->pid : 0, value);
}

/* Copies the running process. Returns the child's pid, or -ENOMEM with nothing changed and nothing left behind. */
static pid_t dup_proc(void) {
    /* 1: child slot */
    trace_stop(TP_FORK_CHILD_SLOT, NULL, 0);
    struct process* pcb = alloc_process();
    if (pcb == NULL) {
        return -ENOMEM;
    }
    if (__dup_slot(pcb) < 0) {
        goto fail_process;
    }

    /* 4: files and parent; early in this system */
    trace_stop(TP_FORK_FILES, pcb, 0);
    if (__dup_fdtable(pcb) < 0) {
        goto fail_process;
    }

    /* 2: address space; the child's is mounted at VMS_MOUNT_1 afterwards */
    trace_stop(TP_FORK_ADDRESS_SPACE, pcb, 0);
    struct proc_mm* mm = vmspace(pcb);
    if (procvm_dupvms_mount(mm) < 0) {
        goto fail_process;
    }

    /* 3: registers and return 0 */
    trace_stop(TP_FORK_REGISTERS, pcb, mm->vmroot);
    struct thread* main_thread = dup_active_thread(mm->vm_mnt, pcb);
    if (main_thread == NULL) {
        goto fail_mounted;
    }

    /* 2b: copy-on-write protection of both sides; nothing can fail any more */
    trace_stop(TP_FORK_PROTECT, pcb, mm->vmroot);
    struct mm_region *pos, *following;
    list_for_each(pos, following, &mm->regions, head) { region_maybe_cow(pos); }

    /* 5: runnable */
    trace_stop(TP_FORK_RUNNABLE, pcb, mm->vmroot);
    procvm_unmount(mm);
    commit_process(pcb);
    commit_thread(main_thread);
    return pcb->pid;

fail_mounted:
    procvm_unmount(mm);
fail_process:
    delete_process(pcb); /* command line, directory, descriptors, threads, memory: all that belongs to it by now */
    return -ENOMEM;
}

/* Door: LunaixOS has fork() alone. */
int rfork_process(unsigned flags) {
    (void)flags;
    return -ENOSYS;
}

/* Door: the fork system call. Returns the child's pid, or -ENOMEM. */
int fork_process(void) {
    trace_stop(TP_FORK_ENTER, NULL, __current->workload);
    pid_t pid = dup_proc();
    forks_since_boot += pid > 0 ? 1 : 0;
    trace(TP_FORK_LEAVE, (uint32_t)__current->pid, pid > 0 ? (uint32_t)pid : 0, (uint32_t)pid);
    return pid;
}
