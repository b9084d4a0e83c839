#include "guest/kernel/files/terminal.h"
#include "guest/abi/syscalls.h"
#include "guest/kernel/devices/console.h"
#include "guest/kernel/memory/user_memory.h"
#include "guest/kernel/process/schedule.h"
#include "guest/kernel/process/signal.h"

#define INPUT_CAPACITY 1024u
#define CONTROL(letter) ((letter) - '@')
#define DELETE 0x7F
#define ESCAPE '\033'
#define END_MARK '\0' /* marks ^D in the queue */

/* A queue with three marks: [read, commit) may be read, [commit, write) is the line being edited. */
static char input[INPUT_CAPACITY];
static unsigned read_mark, commit_mark, write_mark;
static struct wait_queue readers;
static struct mutex reading; /* held while a line is copied, for the copy may sleep */

static int mode;
static enum { PLAIN, AFTER_ESCAPE, IN_SEQUENCE } sequence; /* a key that sends several characters is not text */

void terminal_init(void) {
    wait_queue_init(&readers);
    mutex_init(&reading);
}

/* Rubs out the last character of the line being edited, if there is one. */
static bool rub_out(void) {
    if (write_mark == commit_mark) {
        return false;
    }
    write_mark--;
    console_write("\b \b", 3);
    return true;
}

/* Appends a character to the line being edited; drops it where the queue is full. */
static bool append(char character) {
    if (write_mark - read_mark >= INPUT_CAPACITY - 1) {
        return false;
    }
    input[write_mark++ % INPUT_CAPACITY] = character;
    return true;
}

/* Makes the edited line readable. */
static void commit_line(void) {
    commit_mark = write_mark;
    wake_all(&readers);
}

/* Says whether a character belongs to the sequence of a cursor or function key: ESC [ ... letter, or ESC O letter. */
static bool in_key_sequence(char character) {
    switch (sequence) {
    case AFTER_ESCAPE:
        sequence = character == '[' || character == 'O' ? IN_SEQUENCE : PLAIN;
        return sequence == IN_SEQUENCE;
    case IN_SEQUENCE:
        sequence = character >= '@' ? PLAIN : IN_SEQUENCE;
        return true;
    default:
        sequence = character == ESCAPE ? AFTER_ESCAPE : PLAIN;
        return character == ESCAPE;
    }
}

/* Takes a character in the mode for lines. */
static void edit_line(char character) {
    switch (character) {
    case CONTROL('C'):
        console_write("^C\n", 3);
        write_mark = commit_mark;
        signal_foreground(SIGINT);
        break;
    case CONTROL('D'):
        if (write_mark == commit_mark) {
            append(END_MARK);
        }
        commit_line();
        break;
    case CONTROL('U'):
        while (rub_out()) {
        }
        break;
    case '\b':
    case DELETE:
        rub_out();
        break;
    case '\r':
    case '\n':
        if (append('\n')) {
            console_write("\n", 1);
        }
        commit_line();
        break;
    default:
        if ((character >= ' ' || character == '\t') && append(character)) {
            console_write(&character, 1);
        }
        break;
    }
}

void terminal_input(char character) {
    if (mode == TERMINAL_LINES) {
        if (!in_key_sequence(character)) {
            edit_line(character);
        }
    } else if (character != END_MARK && append(character == '\r' ? '\n' : character)) {
        commit_line();
    }
}

int terminal_set_mode(int new_mode) {
    int before = mode;
    mode = new_mode;
    sequence = PLAIN;
    commit_line();
    return before;
}

/* Moves at most one line into user memory; `reading` is held. 0 = end of file, or -EFAULT. */
static int move_line(ptr_t buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes && read_mark != commit_mark) {
        char character = input[read_mark % INPUT_CAPACITY];
        if (character == END_MARK && done > 0) {
            break;
        }
        if (character != END_MARK && copy_to_user(buffer + done, &character, 1) < 0) {
            return -EFAULT;
        }
        read_mark++;
        if (character == END_MARK) {
            break;
        }
        done++;
        if (character == '\n') {
            break;
        }
    }
    return (int)done;
}

int terminal_read(ptr_t buffer, size_t bytes) {
    mutex_lock(&reading);
    while (read_mark == commit_mark) {
        mutex_unlock(&reading);
        int error = wait_on(&readers);
        if (error < 0) {
            return error;
        }
        mutex_lock(&reading);
    }
    int result = move_line(buffer, bytes);
    mutex_unlock(&reading);
    return result;
}

int terminal_write(ptr_t buffer, size_t bytes) {
    char piece[128];
    size_t done = 0;
    while (done < bytes) {
        size_t count = bytes - done < sizeof(piece) ? bytes - done : sizeof(piece);
        if (copy_from_user(piece, buffer + done, count) < 0) {
            return done > 0 ? (int)done : -EFAULT;
        }
        console_write(piece, count);
        done += count;
    }
    return (int)done;
}
