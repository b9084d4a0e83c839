/* Owns: the process control block: the registers with which a thread continues. exception.S knows the offsets. It lies
 * at the very top of each kernel stack; trap frames begin 16 bytes below it. */
#ifndef FREEBSD_PCB_H
#define FREEBSD_PCB_H

#define PCB_EDI 0
#define PCB_ESI 4
#define PCB_EBP 8
#define PCB_ESP 12
#define PCB_EBX 16
#define PCB_EIP 20
#define PCB_GAP 16 /* bytes between the PCB and the first trap frame */

#ifndef __ASSEMBLER__

#include "guest/kernel/types.h"

struct pcb {
    uint32_t pcb_edi, pcb_esi, pcb_ebp, pcb_esp, pcb_ebx, pcb_eip;
    uint32_t pcb_cr3;
};

_Static_assert(offsetof(struct pcb, pcb_edi) == PCB_EDI && offsetof(struct pcb, pcb_esi) == PCB_ESI &&
                   offsetof(struct pcb, pcb_ebp) == PCB_EBP && offsetof(struct pcb, pcb_esp) == PCB_ESP &&
                   offsetof(struct pcb, pcb_ebx) == PCB_EBX && offsetof(struct pcb, pcb_eip) == PCB_EIP,
               "exception.S reads these");

#endif
#endif
