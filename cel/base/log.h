/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line, a fixed message, then keys. Only reactor/ and main log.
 *
 *   kr_log(KR_WARN, "watch broken", KV("gvr", gvr), KV_INT("code", code));
 *
 * Text form: 2026-01-02T03:04:05.678Z WARN watch broken gvr=... code=410 ; JSON form: one object a
 * line with ts, level, msg and the keys. Secrets and object bodies stay out.
 */
#ifndef KR_LOG_H
#define KR_LOG_H

#include "cel/base/mem.h"

enum kr_level { KR_ERROR, KR_WARN, KR_INFO, KR_DBG };

struct kr_kv {
    const char *key; /* NULL ends the list */
    enum { KR_KV_STR, KR_KV_INT } type;
    kr_str s;
    int64_t i;
};
#define KV(k, str) ((struct kr_kv){.key = (k), .type = KR_KV_STR, .s = (str)})
#define KV_C(k, cstr) KV(k, kr_str_c(cstr))
#define KV_INT(k, num) ((struct kr_kv){.key = (k), .type = KR_KV_INT, .i = (int64_t)(num)})

void kr_log_config(enum kr_level max, bool json, int fd); /* default: KR_INFO, text, 2 */
bool kr_log_on(enum kr_level level);
void kr_log_set_level(enum kr_level max);
enum kr_level kr_log_level(void);
void kr_log_write(enum kr_level level, const char *msg, const struct kr_kv *kv);
#define kr_log(level, ...)                                                                         \
    (kr_log_on(level) ? kr_log__(level, __VA_ARGS__, ((struct kr_kv){0})) : (void)0)
#define kr_log__(level, msg, ...) kr_log_write(level, msg, (const struct kr_kv[]){__VA_ARGS__})

#endif
