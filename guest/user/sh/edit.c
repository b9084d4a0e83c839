/* The editor of the prompt's line: cursor keys, ^A ^E ^B ^F, Backspace, Delete, ^U ^K ^W, and the history by arrows or
 * ^P ^N. */
#include "guest/user/sh/edit.h"

#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"

#define SCREEN_WIDTH 80
#define HISTORY_LINES 64
#define CONTROL(letter) ((letter) - '@')
#define ESCAPE 0x1B
#define RUB_OUT 0x7F

/* Keys that send more than one character. */
enum { KEY_ENDS = 256, KEY_UP, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_DELETE, KEY_UNKNOWN };

static const char* prompt;
static char* line;
static size_t length, cursor;
static size_t view;   /* the first character that is shown */
static size_t shown;  /* how many are on the screen */
static bool scrolled; /* the line has been drawn on a row of its own, of which it may show only a part */

static char* history[HISTORY_LINES]; /* the oldest first */
static size_t history_count;
static size_t chosen;          /* the line of the history that is shown; history_count: the one being typed */
static char typed[LINE_BYTES]; /* that one, while another is shown */

/* Reads one character; KEY_ENDS at the end of input. */
static int read_character(void) {
    unsigned char character;
    int got;

    while ((got = read(STDIN, &character, 1)) < 0 && errno == EINTR)
        continue;
    return got == 1 ? character : KEY_ENDS;
}

/* Reads the rest of a key that began with ESC. */
static int read_sequence(void) {
    static const struct {
        char letter;
        int key;
    } letters[] = {{'A', KEY_UP}, {'B', KEY_DOWN}, {'C', KEY_RIGHT}, {'D', KEY_LEFT}, {'H', KEY_HOME}, {'F', KEY_END}};
    int character = read_character();
    int number = 0;

    if (character != '[' && character != 'O')
        return KEY_UNKNOWN;
    while ((character = read_character()) >= '0' && character <= '9')
        number = number * 10 % 1000 + character - '0';
    if (character == '~')
        return number == 1 || number == 7   ? KEY_HOME
               : number == 4 || number == 8 ? KEY_END
               : number == 3                ? KEY_DELETE
                                            : KEY_UNKNOWN;
    while (character == ';' || (character >= '0' && character <= '9')) /* with Shift or Control: as without */
        character = read_character();
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (letters[i].letter == character)
            return letters[i].key;
    return KEY_UNKNOWN;
}

/* Reads one key. */
static int read_key(void) {
    int character = read_character();

    return character == ESCAPE ? read_sequence() : character;
}

/* Returns how many characters have room behind the prompt. */
static size_t width(void) { return SCREEN_WIDTH - 1 - strlen(prompt); }

/* Shows the part of the line around the cursor, over what was shown before. */
static void draw(void) {
    char text[3 * SCREEN_WIDTH];
    size_t used = 0, back;

    if (shown > width()) { /* it has flowed over the edge; where to, only the terminal knows */
        write_all(STDOUT, "\n", 1);
        scrolled = true;
        shown = 0;
    }
    if (cursor < view)
        view = cursor;
    if (cursor > view + width())
        view = cursor - width();
    size_t now = length - view < width() ? length - view : width();
    used = (size_t)snprintf(text, sizeof text, "\r%s%.*s", prompt, (int)now, line + view);
    for (back = now - (cursor - view); now < shown; shown--, back++)
        text[used++] = ' ';
    while (back-- > 0)
        text[used++] = '\b';
    write_all(STDOUT, text, used);
    shown = now;
}

/* Puts a character in at the cursor; one at the end is only added to the screen, over its edge too. */
static void insert(char character) {
    if (length + 1 >= LINE_BYTES)
        return;
    memmove(line + cursor + 1, line + cursor, length - cursor);
    line[cursor++] = character;
    length++;
    if (cursor == length && view == 0 && (!scrolled || length <= width())) {
        write_all(STDOUT, &character, 1);
        shown++;
    } else {
        draw();
    }
}

/* Removes the characters from one place to another; the cursor is where they were. */
static void erase(size_t from, size_t to) {
    bool last = to == length && cursor == length && from + 1 == to && view == 0 && length <= width();

    memmove(line + from, line + to, length - to);
    length -= to - from;
    cursor = from;
    if (last) {
        write_all(STDOUT, "\b \b", 3);
        shown--;
    } else {
        draw();
    }
}

/* Returns where the word before the cursor begins. */
static size_t word_start(void) {
    size_t at = cursor;

    while (at > 0 && line[at - 1] == ' ')
        at--;
    while (at > 0 && line[at - 1] != ' ')
        at--;
    return at;
}

/* Moves the cursor; the line stays as it is where both places are on the screen. */
static void go_to(size_t place) {
    if (shown > width() || place < view || place > view + width()) {
        cursor = place;
        draw();
        return;
    }
    if (place > cursor)
        write_all(STDOUT, line + cursor, place - cursor);
    for (; cursor > place; cursor--)
        write_all(STDOUT, "\b", 1);
    cursor = place;
}

/* Replaces the line by one of the history, or by the one that was being typed. */
static void choose(size_t number) {
    line[length] = '\0';
    if (chosen == history_count)
        strlcpy(typed, line, sizeof typed);
    chosen = number;
    strlcpy(line, number < history_count ? history[number] : typed, LINE_BYTES);
    cursor = length = strlen(line);
    view = 0;
    draw();
}

/* Adds the line to the history, unless it is empty or the same as the last one. */
static void remember(void) {
    bool again = history_count > 0 && strcmp(history[history_count - 1], line) == 0;
    char* copy = length > 0 && !again ? malloc(length + 1) : NULL;

    if (copy == NULL)
        return;
    strlcpy(copy, line, length + 1);
    if (history_count == HISTORY_LINES) {
        free(history[0]);
        memmove(history, history + 1, (HISTORY_LINES - 1) * sizeof history[0]);
        history_count--;
    }
    history[history_count++] = copy;
}

/* Obeys a key that does not end the line. */
static void obey(int key) {
    if (key == KEY_LEFT || key == CONTROL('B')) {
        go_to(cursor - (cursor > 0));
    } else if (key == KEY_RIGHT || key == CONTROL('F')) {
        go_to(cursor + (cursor < length));
    } else if (key == KEY_HOME || key == CONTROL('A')) {
        go_to(0);
    } else if (key == KEY_END || key == CONTROL('E')) {
        go_to(length);
    } else if (key == '\b' || key == RUB_OUT) {
        if (cursor > 0)
            erase(cursor - 1, cursor);
    } else if (key == KEY_DELETE || key == CONTROL('D')) {
        if (cursor < length)
            erase(cursor, cursor + 1);
    } else if (key == CONTROL('U')) {
        erase(0, cursor);
    } else if (key == CONTROL('K')) {
        erase(cursor, length);
    } else if (key == CONTROL('W')) {
        erase(word_start(), cursor);
    } else if (key == KEY_UP || key == CONTROL('P')) {
        if (chosen > 0)
            choose(chosen - 1);
    } else if (key == KEY_DOWN || key == CONTROL('N')) {
        if (chosen < history_count)
            choose(chosen + 1);
    } else if ((key >= ' ' && key < KEY_ENDS) || key == '\t') {
        insert(key == '\t' ? ' ' : (char)key);
    }
}

/* Reads keys until the line has ended. */
static int edit(void) {
    for (;;) {
        int key = read_key();
        if (length == 0 && (key == CONTROL('D') || key == KEY_ENDS))
            return LINE_ENDS;
        if (key == CONTROL('C'))
            return LINE_DROPPED;
        if (key == '\n' || key == '\r') {
            line[length] = '\0';
            return (int)length;
        }
        obey(key);
    }
}

int edit_line(const char* text, char* place) {
    prompt = text;
    line = place;
    length = cursor = view = shown = 0;
    scrolled = false;
    chosen = history_count;
    terminal(STDIN, TERMINAL_KEYS);
    write_all(STDOUT, prompt, strlen(prompt));
    int result = edit();
    terminal(STDIN, TERMINAL_LINES);
    write_all(STDOUT, "^C\n" + (result == LINE_DROPPED ? 0 : 2), result == LINE_DROPPED ? 3 : 1);
    if (result >= 0)
        remember();
    return result;
}
