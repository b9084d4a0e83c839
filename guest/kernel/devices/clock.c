#include "guest/kernel/devices/clock.h"
#include "guest/kernel/boot_info.h"
#include "guest/kernel/devices/interrupts.h"
#include "guest/kernel/process/process.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/x86.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL_0 0x40
#define PIT_CONTROL 0x43
#define PIT_RATE 0x34        /* channel 0, low byte then high byte, mode 2 */
#define PIT_READ_STATUS 0xE2 /* latch the status of channel 0 */
#define PIT_NULL_COUNT 0x40
#define PIT_LARGEST 0xFFFFu
#define SLOWEST_HZ 19u
#define FASTEST_HZ 10000u
#define DEFAULT_HZ 1000u
#define QUANTUM_PER_SECOND 100u
#define LONGEST_SLEEP 0x7FFFFFF0u /* milliseconds: moments are compared by their difference */

static uint32_t tick_hz, milliseconds, fraction;
static struct wait_queue sleepers; /* sorted by wake time, the first to wake first */

/* Loads the counter of channel 0; in mode 2 a later load takes effect at the end of the period under way. */
static void load_counter(uint32_t counts) {
    outb(PIT_CHANNEL_0, (uint8_t)counts);
    outb(PIT_CHANNEL_0, (uint8_t)(counts >> 8));
}

void clock_init(void) {
    tick_hz = boot_option_number("tick", DEFAULT_HZ);
    if (tick_hz < SLOWEST_HZ || tick_hz > FASTEST_HZ) {
        tick_hz = DEFAULT_HZ;
    }
    wait_queue_init(&sleepers);
    uint32_t period = (PIT_HZ + tick_hz / 2) / tick_hz;
    uint32_t first = period + boot_option_number("timerphase", 0);
    outb(PIT_CONTROL, PIT_RATE);
    load_counter(first < PIT_LARGEST ? first : PIT_LARGEST);
    if (first != period) {
        for (unsigned patience = 0; patience < 64; patience++) {
            outb(PIT_CONTROL, PIT_READ_STATUS);
            if ((inb(PIT_CHANNEL_0) & PIT_NULL_COUNT) == 0) {
                break;
            }
        }
        load_counter(period);
    }
    interrupts_unmask(IRQ_TIMER);
}

/* Says whether a moment has come; the counter may wrap around. */
static bool has_come(uint32_t moment) { return (int32_t)(milliseconds - moment) >= 0; }

void clock_interrupt(void) {
    fraction += 1000;
    while (fraction >= tick_hz) {
        fraction -= tick_hz;
        milliseconds++;
    }
    struct thread *sleeper, *following;
    list_for_each(sleeper, following, &sleepers.threads, queue_link) {
        if (!has_come(sleeper->wake_time)) {
            break;
        }
        wake(sleeper);
    }
    schedule_tick(tick_hz / QUANTUM_PER_SECOND);
}

uint32_t clock_milliseconds(void) { return milliseconds; }

int clock_sleep(uint32_t duration) {
    duration = duration < LONGEST_SLEEP ? duration : LONGEST_SLEEP;
    uint32_t moment = milliseconds + duration + (duration > 0 ? 1 : 0);
    while (!has_come(moment)) {
        struct thread *place, *following;
        current_thread->wake_time = moment;
        list_for_each(place, following, &sleepers.threads, queue_link) {
            if ((int32_t)(place->wake_time - moment) > 0) {
                break;
            }
        }
        int error = wait_before(&place->queue_link);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}
