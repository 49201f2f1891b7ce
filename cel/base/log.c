/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line per call, built in memory and written at once, so that lines of several threads
 * do not mix. Long values are cut; keys that make the line too long are left out.
 */
#include "cel/base/log.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "cel/base/banned.h"
#include "cel/base/json.h"
#include "cel/base/time.h"

enum { LINE_MAX_BYTES = 16 * 1024, VALUE_MAX_BYTES = 4 * 1024 };

static struct {
    enum kr_level max;
    bool json;
    int fd;
} config = {.max = KR_INFO, .json = false, .fd = 2};

void kr_log_config(enum kr_level max, bool json, int fd)
{
    config.max = max;
    config.json = json;
    config.fd = fd;
}

void kr_log_set_level(enum kr_level max)
{
    config.max = max;
}

enum kr_level kr_log_level(void)
{
    return config.max;
}

bool kr_log_on(enum kr_level level)
{
    return level <= config.max;
}

static void put_time(struct kr_buf *b)
{
    struct timespec now;
    struct kr_civil c;

    clock_gettime(CLOCK_REALTIME, &now);
    kr_civil_of(now.tv_sec, 0, &c);
    kr_buf_fmt(b, "%04d-%02u-%02uT%02u:%02u:%02u.%03ldZ", c.year, c.month, c.day, c.hour, c.minute,
               c.second, now.tv_nsec / 1000000);
}

/* Text that would break the line or the key=value form is quoted. */
static bool needs_quotes(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((uint8_t)s.s[i] <= ' ' || s.s[i] == '"' || s.s[i] == '=' || s.s[i] == 0x7F)
            return true;
    }
    return s.n == 0;
}

static void put_text(struct kr_buf *b, kr_str s, bool quote)
{
    kr_str shown = kr_str_sub(s, 0, VALUE_MAX_BYTES);

    if (quote)
        kr_json_quote(b, shown, 0);
    else
        kr_buf_str(b, shown);
    if (shown.n < s.n && !quote)
        kr_buf_str(b, KR_S("..."));
}

static void put_pair(struct kr_buf *b, const struct kr_kv *kv)
{
    if (config.json) {
        kr_buf_chr(b, ',');
        kr_json_quote(b, kr_str_c(kv->key), 0);
        kr_buf_chr(b, ':');
    } else {
        kr_buf_fmt(b, " %s=", kv->key);
    }
    if (kv->type == KR_KV_INT)
        kr_buf_fmt(b, "%lld", (long long)kv->i);
    else
        put_text(b, kv->s, config.json || needs_quotes(kv->s));
}

/* Keys that do not fit are left out; the line stays well formed. */
static void put_pairs(struct kr_buf *b, const struct kr_kv *kv)
{
    for (; kv->key; kv++) {
        size_t before = b->n;

        put_pair(b, kv);
        if (b->full) {
            b->full = false;
            b->n = before;
        }
    }
}

/* A log that cannot be written has nobody to complain to: the line is lost. */
static void write_all(int fd, kr_str line)
{
    while (line.n) {
        ssize_t n = write(fd, line.s, line.n);

        if (n < 0 && errno != EINTR)
            return;
        if (n > 0)
            line = kr_str_sub(line, (size_t)n, line.n);
    }
}

void kr_log_write(enum kr_level level, const char *msg, const struct kr_kv *kv)
{
    static const char *const plain[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    static const char *const json[] = {"error", "warn", "info", "debug"};
    KR_AUTO(kr_buf) line = KR_BUF(LINE_MAX_BYTES);

    if (config.json) {
        kr_buf_str(&line, KR_S("{\"ts\":\""));
        put_time(&line);
        kr_buf_fmt(&line, "\",\"level\":\"%s\",\"msg\":", json[level]);
        put_text(&line, kr_str_c(msg), true);
    } else {
        put_time(&line);
        kr_buf_fmt(&line, " %s %s", plain[level], msg);
    }
    put_pairs(&line, kv);
    line.max += sizeof("}\n");
    kr_buf_str(&line, config.json ? KR_S("}\n") : KR_S("\n"));
    write_all(config.fd, kr_buf_view(&line));
}
