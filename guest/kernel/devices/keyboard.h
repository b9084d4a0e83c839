/* Owns: the PS/2 keyboard, scan code set 1. Its interrupt calls; characters go to the terminal. */
#ifndef KERNEL_KEYBOARD_H
#define KERNEL_KEYBOARD_H

/* Switches on the keyboard, its interrupt and the translation to scan code set 1. */
void keyboard_init(void);
/* Reads what the controller holds; the keyboard's interrupt calls it. */
void keyboard_interrupt(void);

#endif
