/* init: the first process. Runs a shell on the console and reaps every orphan.
 * `init COMMAND` (boot word run=COMMAND) runs that one command through the shell instead, then ends the machine. */
#include "guest/user/lib/stdio.h"
#include "guest/user/lib/system.h"

/* Makes sure that descriptors 0, 1 and 2 are the console, in case the kernel did not open them. */
static void open_console(void) {
    struct stat status;

    if (fstat(STDIN, &status) == 0)
        return;
    while (open("/dev/console", O_RDWR) >= 0 && fstat(STDERR, &status) < 0)
        continue;
}

/* Copies the message of the day to the console; a missing file is no error. */
static void greet(void) {
    char text[512];
    int fd = open("/etc/motd", O_RDONLY);
    int count;

    if (fd < 0)
        return;
    while ((count = read(fd, text, sizeof text)) > 0)
        write_all(STDOUT, text, (size_t)count);
    close(fd);
}

/* Starts a shell, interactive or for one command; returns its pid, or -1. */
static int start_shell(char* command) {
    char* interactive[] = {"sh", NULL};
    char* single[] = {"sh", "-c", command, NULL};
    int pid = fork();

    if (pid == 0) {
        exec("/bin/sh", command != NULL ? single : interactive);
        complain("init", "/bin/sh");
        exit(127);
    }
    if (pid < 0)
        complain("init", "fork");
    return pid;
}

/* Reaps every child that ends until `wanted` has ended; returns the status of that one. */
static int reap_until(int wanted) {
    for (;;) {
        int status;
        int pid = wait(&status);
        if (pid == wanted)
            return status;
        if (pid < 0 && errno != EINTR)
            sleep_ms(100);
    }
}

/* Never returns: the machine ends, or one shell follows the other. */
int main(int argc, char* argv[]) {
    open_console();
    if (argc > 1) {
        int pid = start_shell(argv[1]);
        int status = pid < 0 ? 127 << 8 : reap_until(pid);
        poweroff(status_exited(status) ? status_code(status) : 128 + status_signal(status));
        complain("init", "poweroff");
    }
    greet();
    for (;;) {
        int pid = start_shell(NULL);
        if (pid < 0) {
            sleep_ms(1000);
            continue;
        }
        reap_until(pid);
        printf("init: the shell has ended, here is a new one\n");
    }
}
