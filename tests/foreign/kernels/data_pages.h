/* The data that programs of these kernels write and print: DATA_PAGES pages, of which the including file says the
 * number. */
#pragma once

#include "kernel.h"

static uint32_t data[DATA_PAGES][PAGE_BYTES / sizeof(uint32_t)] USER_DATA = {{0}};

LOCAL void touch(uint32_t page, uint32_t value) { *(volatile uint32_t*)data[page] = value; }

LOCAL void touch_all(void) {
    for (uint32_t page = 0; page < DATA_PAGES; ++page)
        touch(page, 100 + page);
}

LOCAL void print_pages(uint32_t first, uint32_t end) {
    for (uint32_t page = first; page < end; ++page)
        call(SYS_PRINT, *(volatile uint32_t*)data[page], 0, 0);
}
