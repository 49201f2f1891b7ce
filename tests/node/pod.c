/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod.c - the one program in the images that tests/node makes for itself; linked statically.
 *
 *   pod pause    what holds a pod together: waits until it is told to end, and buries orphans
 *   pod serve    the application of the pods: answers each connection on port 80 with one line, the
 *                COLOUR of its environment and the page that is mounted at PAGE
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT 80
#define PAGE "/usr/share/nginx/html/index.html"
#define PAGE_MAX 512
#define REQUEST_MAX 1024

static void on_term(int signal)
{
    (void)signal;
    _exit(0);
}

static void on_child(int signal)
{
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static int pause_forever(void)
{
    signal(SIGCHLD, on_child);
    while (pause() < 0) {
    }
    return 0;
}

static size_t read_page(char *out)
{
    FILE *f = fopen(PAGE, "re");
    if (!f)
        return 0;
    size_t n = fread(out, 1, PAGE_MAX, f);
    fclose(f);
    return n;
}

static void answer(int fd)
{
    char request[REQUEST_MAX], page[PAGE_MAX], out[PAGE_MAX + 256];
    const char *colour = getenv("COLOUR");

    if (read(fd, request, sizeof request) <= 0)
        return;
    size_t len = read_page(page);
    int n =
        snprintf(out, sizeof out, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%.64s %.*s\n",
                 colour ? colour : "none", (int)len, page);
    if (write(fd, out, (size_t)n) < 0)
        perror("write");
}

static int serve(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int on = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (s < 0 || bind(s, (struct sockaddr *)&any, sizeof any) || listen(s, 16)) {
        perror("pod serve");
        return 1;
    }
    for (;;) {
        int fd = accept(s, NULL, NULL);
        if (fd < 0)
            continue;
        answer(fd);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";

    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(what, "pause") == 0)
        return pause_forever();
    if (strcmp(what, "serve") == 0)
        return serve();
    fputs("usage: pod pause | serve\n", stderr);
    return 2;
}
