/* Owns: the I/O ports through which a guest speaks to Forkscope.
 * Callers: the guest kernel, the firmware, emu devices and observe. Plain C and C++; no types of either side.
 * Promises: on other machines (QEMU, Bochs) writing these ports is harmless. */
#ifndef FORKSCOPE_ABI_PORTS_H
#define FORKSCOPE_ABI_PORTS_H

/* One byte written appears on the host's debug console. A read returns 0xE9 where the console exists. */
#define ABI_PORT_DEBUG_CONSOLE 0xE9

/* One byte v written ends the machine: Forkscope takes v as the guest's status, QEMU's isa-debug-exit ends with host
 * status (v << 1) | 1. */
#define ABI_PORT_EXIT 0xF4

/* Bochs ends when the string "Shutdown" is written here byte by byte. Ignored elsewhere. */
#define ABI_PORT_BOCHS_SHUTDOWN 0x8900

/* Guest tracepoints. Write the three arguments (32 bits each) first, then the tracepoint's id: the write of the id
 * emits the event with the current arguments. A 32-bit read of ABI_PORT_TRACE_ID returns ABI_TRACE_MAGIC if a host
 * listens, so that the kernel can skip the four OUTs elsewhere. */
#define ABI_PORT_TRACE_ID   0x5F0
#define ABI_PORT_TRACE_ARG0 0x5F4
#define ABI_PORT_TRACE_ARG1 0x5F8
#define ABI_PORT_TRACE_ARG2 0x5FC
#define ABI_TRACE_MAGIC     0x6B726F66u /* "fork", little-endian */

/* Firmware configuration: write a 16-bit item selector, then read its bytes one by one from the data port. QEMU's own
 * such port is at 510h, with other items: it stays free. */
#define ABI_PORT_FIRMWARE_SELECT 0x5E0
#define ABI_PORT_FIRMWARE_DATA   0x5E1
#define ABI_FIRMWARE_SIGNATURE   0x0000 /* 4 bytes "FSCP" */
#define ABI_FIRMWARE_RAM_SIZE    0x0001 /* u64: bytes of RAM */
#define ABI_FIRMWARE_ENTRY       0x0002 /* u32: physical entry address of the multiboot image; 0 = none, boot a disk */
#define ABI_FIRMWARE_BOOT_INFO   0x0003 /* u32, u32: physical addresses of the multiboot information and of the stack's top */
#define ABI_FIRMWARE_SEGMENTS    0x0004 /* u32 count, then count x {u32 physical address, u32 file bytes, u32 memory bytes} */
#define ABI_FIRMWARE_SEGMENT_DATA 0x0005 /* the segments' file bytes one after another */

#endif
