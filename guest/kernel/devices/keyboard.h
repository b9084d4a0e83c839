/* Owns: the PS/2 keyboard, scan code set 1. Its interrupt calls; characters go to the terminal. */
#ifndef KERNEL_KEYBOARD_H
#define KERNEL_KEYBOARD_H

/* Switches the keyboard and its interrupt on. */
void keyboard_init(void);
/* Takes what the controller holds; the interrupt calls. */
void keyboard_interrupt(void);

#endif
