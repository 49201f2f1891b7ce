/* SPDX-License-Identifier: Apache-2.0 */
/* ref.c - names of kinds, resource types and objects. */
#include "cel/base/ref.h"

#include "cel/base/banned.h"

bool kr_gvk_eq(kr_gvk a, kr_gvk b)
{
    return kr_str_eq(a.kind, b.kind) && kr_str_eq(a.group, b.group) &&
           kr_str_eq(a.version, b.version);
}

bool kr_gvr_eq(kr_gvr a, kr_gvr b)
{
    return kr_str_eq(a.resource, b.resource) && kr_str_eq(a.group, b.group) &&
           kr_str_eq(a.version, b.version);
}

bool kr_ref_eq(kr_ref a, kr_ref b)
{
    return kr_str_eq(a.name, b.name) && kr_str_eq(a.namespace, b.namespace) &&
           kr_gvr_eq(a.gvr, b.gvr);
}

kr_gvk kr_gvk_copy(struct kr_arena *a, kr_gvk k)
{
    return (kr_gvk){kr_strdup(a, k.group), kr_strdup(a, k.version), kr_strdup(a, k.kind)};
}

kr_gvr kr_gvr_copy(struct kr_arena *a, kr_gvr r)
{
    return (kr_gvr){kr_strdup(a, r.group), kr_strdup(a, r.version), kr_strdup(a, r.resource)};
}

kr_ref kr_ref_copy(struct kr_arena *a, kr_ref r)
{
    return (kr_ref){kr_gvr_copy(a, r.gvr), kr_strdup(a, r.namespace), kr_strdup(a, r.name)};
}

bool kr_api_version(kr_str api_version, kr_str *group, kr_str *version)
{
    kr_str rest = api_version;
    kr_str first = kr_str_cut(&rest, '/');

    if (!rest.s) { /* no slash: the core group */
        if (first.n == 0)
            return false;
        *group = KR_S("");
        *version = first;
        return true;
    }
    if (first.n == 0 || rest.n == 0 || kr_str_chr(rest, '/') >= 0)
        return false;
    *group = first;
    *version = rest;
    return true;
}

kr_str kr_api_version_text(struct kr_arena *a, kr_str group, kr_str version)
{
    if (group.n == 0)
        return kr_strdup(a, version);
    return kr_fmt(a, KR_FMT "/" KR_FMT, KR_ARG(group), KR_ARG(version));
}

kr_str kr_gvr_key(struct kr_arena *a, kr_gvr r)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(r.group), KR_ARG(r.version),
                  KR_ARG(r.resource));
}

kr_str kr_ref_key(struct kr_arena *a, kr_ref r)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT "|" KR_FMT "|" KR_FMT, KR_ARG(r.gvr.group),
                  KR_ARG(r.gvr.version), KR_ARG(r.gvr.resource), KR_ARG(r.namespace),
                  KR_ARG(r.name));
}

void kr_ref_print(struct kr_buf *b, kr_ref r)
{
    kr_buf_fmt(b, KR_FMT "." KR_FMT, KR_ARG(r.gvr.resource), KR_ARG(r.gvr.version));
    if (r.gvr.group.n)
        kr_buf_fmt(b, "." KR_FMT, KR_ARG(r.gvr.group));
    kr_buf_chr(b, ' ');
    if (r.namespace.n)
        kr_buf_fmt(b, KR_FMT "/", KR_ARG(r.namespace));
    kr_buf_str(b, r.name);
}
