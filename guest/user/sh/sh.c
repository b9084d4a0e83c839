/* sh: the shell. Understands  a | b  a && b  a || b  a ; b  a &  < > >>  * ?  '...' "..." \x  $? $! $$  and # comments.
 * The grammar has no nesting, so a line stays a row of tokens: run_list cuts it at ; and &, run_conditions at && and
 * ||, run_pipeline at |, and build_command takes what is left. */
#include <stdbool.h>

#include "guest/user/lib/stdio.h"
#include "guest/user/lib/stdlib.h"
#include "guest/user/lib/string.h"
#include "guest/user/lib/system.h"
#include "guest/user/sh/edit.h"
#include "guest/user/sh/glob.h"

#define MAX_TOKENS 256
#define MAX_WORDS 256
#define TEXT_BYTES 8192
#define MAX_STAGES 16

enum kind {
    END = 1,
    SEMICOLON = 2,
    BACKGROUND = 4,
    AND_IF = 8,
    OR_IF = 16,
    PIPE = 32,
    INPUT = 64,
    OUTPUT = 128,
    APPEND = 256,
    WORD = 512,
};

/* A piece of the line; a word keeps its quotes until it is expanded. */
struct token {
    enum kind kind;
    const char* text;
    size_t length;
};

/* One program to run, its words expanded. Only one exists at a time: a forked child takes its own copy along. */
struct command {
    char* words[MAX_WORDS + 1];
    int count;
    char* input; /* file names, or NULL */
    char* output;
    bool append;
    size_t used; /* bytes of text */
    char text[TEXT_BYTES];
};

static struct token tokens[MAX_TOKENS];
static struct command command;
static int last_status;
static int last_background;

/* Recognises an operator at the start of the text; returns its length, or 0. */
static size_t operator_length(const char* text, enum kind* kind) {
    static const struct {
        const char* text;
        enum kind kind;
    } operators[] = {{"&&", AND_IF},   {"||", OR_IF},     {">>", APPEND}, {"|", PIPE},  {"&", BACKGROUND},
                     {";", SEMICOLON}, {"\n", SEMICOLON}, {"<", INPUT},   {">", OUTPUT}};

    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        size_t length = strlen(operators[i].text);
        if (strncmp(text, operators[i].text, length) == 0) {
            *kind = operators[i].kind;
            return length;
        }
    }
    return 0;
}

/* Returns the length of the word at the start of the text with its quotes, or 0 if a quote is not closed. */
static size_t word_length(const char* text) {
    const char* end = text;
    enum kind kind;

    while (*end != '\0' && strchr(" \t\r", *end) == NULL && operator_length(end, &kind) == 0) {
        if (*end == '\\' && end[1] != '\0') {
            end++;
        } else if (*end == '\'' || *end == '"') {
            char quote = *end++;
            for (; *end != quote; end++) {
                if (*end == '\\' && quote == '"' && end[1] != '\0')
                    end++;
                if (*end == '\0')
                    return 0;
            }
        }
        end++;
    }
    return (size_t)(end - text);
}

/* Cuts the line into tokens, the last one END; returns false after a complaint. */
static bool tokenise(const char* line) {
    int count = 0;

    for (;;) {
        struct token* token = &tokens[count++];
        while (*line == ' ' || *line == '\t' || *line == '\r')
            line++;
        if (*line == '#')
            while (*line != '\0' && *line != '\n')
                line++;
        *token = (struct token){END, line, 0};
        if (*line == '\0')
            return true;
        token->length = operator_length(line, &token->kind);
        if (token->length == 0) {
            token->kind = WORD;
            token->length = word_length(line);
        }
        if (token->length == 0) {
            dprintf(STDERR, "sh: a quote is not closed\n");
            return false;
        }
        if (count == MAX_TOKENS) {
            dprintf(STDERR, "sh: the line has too many words\n");
            return false;
        }
        line += token->length;
    }
}

/* Checks that every operator has what it needs on both sides; returns false after a complaint. */
static bool check_syntax(void) {
    int words = 0;
    bool needs_command = false; /* after |, && and || */

    for (const struct token* token = tokens;; token++) {
        bool good = true;
        if (token->kind & WORD) {
            words++;
            continue;
        }
        if (token->kind & (INPUT | OUTPUT | APPEND)) {
            good = token[1].kind == WORD;
            token += good;
        } else if (token->kind & (PIPE | AND_IF | OR_IF | BACKGROUND)) {
            good = words > 0;
            needs_command = (token->kind & BACKGROUND) == 0;
            words = 0;
        } else { /* a newline may be alone, and so may the end */
            good = words > 0 || (!needs_command && (token->kind == END || *token->text == '\n'));
            needs_command = false;
            words = 0;
        }
        if (!good) {
            bool at_end = token->kind == END || *token->text == '\n';
            dprintf(STDERR, "sh: syntax error near '%.*s'\n", at_end ? 3 : (int)token->length,
                    at_end ? "end" : token->text);
            return false;
        }
        if (token->kind == END)
            return true;
    }
}

/* Adds one character to the command's text; a text that is too long is noticed by expand. */
static void add_character(char character) {
    if (command.used < sizeof command.text)
        command.text[command.used] = character;
    command.used++;
}

/* Adds the value of $?, $! or $$; returns false, adding nothing, if `name` is none of them. */
static bool add_variable(char name) {
    char digits[16];

    if (name != '?' && name != '!' && name != '$')
        return false;
    snprintf(digits, sizeof digits, "%d", name == '?' ? last_status : name == '!' ? last_background : getpid());
    for (const char* digit = digits; *digit != '\0'; digit++)
        add_character(*digit);
    return true;
}

/* Returns what a character outside quotes stands for in a pattern. */
static char pattern_character(char character) {
    return character == '*' ? GLOB_MANY : character == '?' ? GLOB_ONE : character;
}

/* Expands a word: removes its quotes, inserts the variables and marks the * and ? of a pattern. Returns the text, kept
 * in the command, or NULL if there is no more room. */
static char* expand(const struct token* token) {
    size_t start = command.used;
    char quote = '\0';

    for (size_t i = 0; i < token->length; i++) {
        char character = token->text[i];
        if (character == quote && quote != '\0') {
            quote = '\0';
        } else if (quote == '\0' && (character == '\'' || character == '"')) {
            quote = character;
        } else if (character == '\\' && quote != '\'' && i + 1 < token->length) {
            add_character(token->text[++i]);
        } else if (character == '$' && quote != '\'' && i + 1 < token->length && add_variable(token->text[i + 1])) {
            i++;
        } else {
            add_character(quote == '\0' ? pattern_character(character) : character);
        }
    }
    add_character('\0');
    return command.used <= sizeof command.text ? command.text + start : NULL;
}

/* Returns the first token of one of the kinds between two tokens, or the second of them. */
static const struct token* find(const struct token* from, const struct token* end, unsigned kinds) {
    while (from < end && (from->kind & kinds) == 0)
        from++;
    return from;
}

/* Turns a pattern back into the text that was typed. */
static void make_plain(char* word) {
    for (; *word != '\0'; word++)
        *word = *word == GLOB_MANY ? '*' : *word == GLOB_ONE ? '?' : *word;
}

/* Adds a path that matches a pattern to the command's words; false where there is no more room. */
static bool add_match(const char* path) {
    char* word = command.text + command.used;

    if (command.count == MAX_WORDS || command.used + strlen(path) + 1 > sizeof command.text) {
        command.used = sizeof command.text + 1;
        return false;
    }
    strlcpy(word, path, sizeof command.text - command.used);
    command.used += strlen(path) + 1;
    command.words[command.count++] = word;
    return true;
}

/* Adds a word, or what matches it if it is a pattern; a pattern without a match stands for itself. Returns false if
 * there is no more room. */
static bool add_word(const struct token* token) {
    char* word = expand(token);
    int before = command.count;

    if (word == NULL || command.count == MAX_WORDS)
        return false;
    if (is_pattern(word))
        for_each_match(word, add_match);
    if (command.count == before) {
        make_plain(word);
        command.words[command.count++] = word;
    }
    return command.used <= sizeof command.text;
}

/* Fills in the one `command` from its tokens; returns false after a complaint. */
static bool build_command(const struct token* from, const struct token* end) {
    bool good = true;

    command.count = 0;
    command.used = 0;
    command.input = command.output = NULL;
    for (; from < end && good; from++) {
        if (from->kind == WORD) {
            good = add_word(from);
            continue;
        }
        char** place = from->kind == INPUT ? &command.input : &command.output;
        command.append = from->kind == APPEND;
        good = (*place = expand(++from)) != NULL;
        if (good)
            make_plain(*place);
    }
    command.words[command.count] = NULL;
    if (!good)
        dprintf(STDERR, "sh: the command is too long\n");
    return good;
}

/* Puts the open file at descriptor `to`. */
static void move_descriptor(int fd, int to) {
    if (fd == to)
        return;
    dup2(fd, to);
    close(fd);
}

/* Opens the command's redirections in place; returns false after a complaint. */
static bool redirect(void) {
    if (command.input != NULL) {
        int fd = open(command.input, O_RDONLY);
        if (fd < 0) {
            complain("sh", command.input);
            return false;
        }
        move_descriptor(fd, STDIN);
    }
    if (command.output != NULL) {
        int fd = open(command.output, O_WRONLY | O_CREAT | (command.append ? O_APPEND : O_TRUNC));
        if (fd < 0) {
            dprintf(STDERR, "sh: %s: cannot be written: %s\n", command.output, error_text(errno));
            return false;
        }
        move_descriptor(fd, STDOUT);
    }
    return true;
}

/* Turns a wait status into the number that $? shows: the exit code, or 128 + the signal. */
static int shell_status(int status) {
    return status_exited(status) ? status_code(status) : 128 + status_signal(status);
}

/* cd [DIRECTORY]: changes the working directory. */
static int run_cd(void) {
    const char* path = command.count > 1 ? command.words[1] : "/";

    if (chdir(path) == 0)
        return 0;
    complain("cd", path);
    return 1;
}

/* pwd: prints the working directory. */
static int run_pwd(void) {
    char path[256];

    if (getcwd(path, sizeof path) < 0) {
        complain("pwd", "working directory");
        return 1;
    }
    return puts(path) < 0;
}

/* exit [STATUS]: ends the shell. */
static int run_exit(void) {
    int status = last_status;

    if (command.count > 1 && !parse_number(command.words[1], &status)) {
        dprintf(STDERR, "exit: %s: not a number\n", command.words[1]);
        status = 2;
    }
    exit(status);
}

/* wait: waits for every background command. */
static int run_wait(void) {
    while (wait(NULL) >= 0 || errno == EINTR)
        continue;
    return 0;
}

/* help: says what the shell and the programs can do. */
static int run_help(void) {
    puts("in the shell:  cd [DIR]  pwd  exit [STATUS]  wait  help");
    puts("files:         ls [-l]  cat  wc  echo; below /tmp also rm [-rf]  mkdir [-p]  mv, > and >>");
    puts("processes:     ps  kill  sleep  free  uptime  true  false");
    puts("fork:          forkdemo  forkwork  forktree  cowtest  forkstorm  generations  forkfacts");
    puts("tests:         usertests [-l] [NAME...]  failsweep  seededbugs");
    puts("a | b   a && b   a || b   a ; b   a &   < FILE   > FILE   >> FILE   * ?   'text' \"text\" \\x   $? $! $$   # "
         "comment");
    puts("keys:          arrows, Home, End, ^A ^E ^U ^K ^W; Up and Down: earlier lines; ^C: a new line; ^D: the end");
    return 0;
}

/* Returns the function of a command that the shell does itself, or NULL. */
static int (*find_builtin(const char* name))(void) {
    static const struct {
        const char* name;
        int (*function)(void);
    } builtins[] = {{"cd", run_cd}, {"pwd", run_pwd}, {"exit", run_exit}, {"wait", run_wait}, {"help", run_help}};

    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++)
        if (strcmp(name, builtins[i].name) == 0)
            return builtins[i].function;
    return NULL;
}

/* Becomes the command, in a forked child; never returns. */
static void become_command(void) {
    char path[128];

    if (!redirect())
        exit(1);
    int (*builtin)(void) = find_builtin(command.words[0]);
    if (builtin != NULL)
        exit(builtin());
    on_signal(SIGINT, (signal_handler)SIG_DFL);
    if (strchr(command.words[0], '/') != NULL)
        strlcpy(path, command.words[0], sizeof path);
    else
        snprintf(path, sizeof path, "/bin/%s", command.words[0]);
    exec(path, command.words);
    if (errno == ENOENT) {
        dprintf(STDERR, "sh: %s: command not found\n", command.words[0]);
        exit(127);
    }
    complain("sh", command.words[0]);
    exit(126);
}

/* Starts one stage of a pipeline, reading from `input` and writing to `output`; returns its pid, or -1. `unused` is
 * the end of the next pipe that belongs to the next stage, or -1. */
static int start_stage(int input, int output, int unused) {
    int pid = fork();

    if (pid == 0) {
        if (unused >= 0)
            close(unused);
        move_descriptor(input, STDIN);
        move_descriptor(output, STDOUT);
        become_command();
    }
    if (pid < 0)
        complain("sh", "fork");
    return pid;
}

/* Waits for a foreground process; returns its status as $? shows it, and names a signal that killed it. */
static int wait_for(int pid) {
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    if (!status_exited(status) && status_signal(status) != SIGPIPE)
        dprintf(STDERR, "sh: %d killed by SIG%s\n", pid, signal_name(status_signal(status)));
    return shell_status(status);
}

/* Starts the stages of a pipeline and stores their pids; returns how many. Fewer than there are means that one could
 * not be started, and that a complaint was made. */
static int start_stages(const struct token* from, const struct token* end, int* pids) {
    int count = 0;
    int input = STDIN;
    bool good = true;

    while (good && from <= end) {
        const struct token* bar = find(from, end, PIPE);
        int fds[2] = {STDIN, STDOUT};
        good = build_command(from, bar);
        if (good && bar < end && pipe(fds) < 0) {
            complain("sh", "pipe");
            good = false;
        }
        if (good)
            good = (pids[count] = start_stage(input, fds[1], bar < end ? fds[0] : -1)) >= 0;
        count += good;
        if (input != STDIN)
            close(input);
        if (fds[1] != STDOUT)
            close(fds[1]);
        input = fds[0];
        from = bar + 1;
    }
    if (input != STDIN)
        close(input);
    return count;
}

/* Runs commands joined by |; returns the status of the last. */
static int run_pipeline(const struct token* from, const struct token* end) {
    int pids[MAX_STAGES];
    int stages = 1;
    int status = 1;

    if (find(from, end, PIPE | INPUT | OUTPUT | APPEND) == end) {
        if (!build_command(from, end))
            return 2;
        int (*builtin)(void) = find_builtin(command.words[0]);
        if (builtin != NULL)
            return builtin();
    }
    for (const struct token* token = from; token < end; token++)
        stages += token->kind == PIPE;
    if (stages > MAX_STAGES) {
        dprintf(STDERR, "sh: the pipeline is too long\n");
        return 2;
    }
    int count = start_stages(from, end, pids);
    for (int i = 0; i < count; i++)
        status = wait_for(pids[i]);
    return count == stages ? status : 1;
}

/* Runs pipelines joined by && and ||. */
static void run_conditions(const struct token* from, const struct token* end) {
    bool wanted = true;

    for (;;) {
        const struct token* next = find(from, end, AND_IF | OR_IF);
        if (wanted)
            last_status = run_pipeline(from, next);
        if (next == end)
            return;
        wanted = (next->kind == AND_IF) == (last_status == 0);
        from = next + 1;
    }
}

/* Runs pipelines joined by && and || in a shell of their own, without waiting for it. */
static void start_background(const struct token* from, const struct token* end) {
    int pid = fork();

    if (pid == 0) {
        run_conditions(from, end);
        exit(last_status);
    }
    last_status = pid < 0;
    if (pid < 0) {
        complain("sh", "fork");
        return;
    }
    last_background = pid;
    dprintf(STDERR, "[%d]\n", pid);
}

/* Runs one line, or a whole text with several. */
static void run_list(const char* line) {
    const struct token* from = tokens;

    if (!tokenise(line) || !check_syntax()) {
        last_status = 2;
        return;
    }
    while (from->kind != END) {
        const struct token* end = find(from, tokens + MAX_TOKENS, SEMICOLON | BACKGROUND | END);
        if (end->kind == BACKGROUND)
            start_background(from, end);
        else if (end > from)
            run_conditions(from, end);
        from = end->kind == END ? end : end + 1;
    }
}

/* Reaps background commands that have ended; says so if the shell is interactive. */
static void reap_background(bool interactive) {
    int status;
    int pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (interactive)
            dprintf(STDERR, "[%d] ended with status %d\n", pid, shell_status(status));
}

/* Runs `sh -c TEXT`, or lines from standard input until it ends. */
int main(int argc, char* argv[]) {
    static char line[LINE_BYTES];
    bool interactive = terminal(STDIN, TERMINAL_LINES) >= 0;

    if (argc == 3 && strcmp(argv[1], "-c") == 0) {
        run_list(argv[2]);
        return last_status;
    }
    if (argc > 1) {
        dprintf(STDERR, "usage: sh [-c COMMAND]\n");
        return 2;
    }
    on_signal(SIGINT, (signal_handler)SIG_IGN);
    for (;;) {
        reap_background(interactive);
        int length = interactive ? edit_line("$ ", line) : read_line(STDIN, line, sizeof line);
        if (length == LINE_ENDS)
            break;
        if (length == LINE_DROPPED)
            last_status = 128 + SIGINT;
        else
            run_list(line);
    }
    return last_status;
}
