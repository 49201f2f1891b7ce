/* SPDX-License-Identifier: Apache-2.0 */
/* url.c - paths of resources and escaping of what goes into them. */
#include "kube/client.h"

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* also: further characters that stay as they are. */
static void escape(struct kr_buf *b, kr_str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (unreserved(c) || (c != '\0' && strchr(also, c) != NULL))
            kr_buf_chr(b, c);
        else
            kr_buf_fmt(b, "%%%02X", (unsigned)(unsigned char)c);
    }
}

void kube_query_escape(struct kr_buf *b, kr_str s)
{
    escape(b, s, "");
}

/* RBAC names have colons ("system:node"), which are legal in a path segment. */
static void segment(struct kr_buf *b, kr_str s)
{
    kr_buf_chr(b, '/');
    escape(b, s, ":");
}

void kube_path(struct kr_buf *b, kr_ref ref, const char *subresource)
{
    if (ref.gvr.group.n == 0) {
        kr_buf_str(b, KR_S("/api"));
    } else {
        kr_buf_str(b, KR_S("/apis"));
        segment(b, ref.gvr.group);
    }
    segment(b, ref.gvr.version);
    if (ref.namespace.n > 0) {
        kr_buf_str(b, KR_S("/namespaces"));
        segment(b, ref.namespace);
    }
    segment(b, ref.gvr.resource);
    if (ref.name.n > 0)
        segment(b, ref.name);
    if (ref.name.n > 0 && subresource != NULL)
        segment(b, kr_str_c(subresource));
}
