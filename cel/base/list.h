/* SPDX-License-Identifier: Apache-2.0 */
/* list.h - intrusive doubly linked list; a node that is not linked points to itself or is zero. */
#ifndef KR_LINK_H
#define KR_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct kr_link {
    struct kr_link *next, *prev;
};

static inline void kr_link_init(struct kr_link *l)
{
    l->next = l->prev = l;
}
static inline bool
kr_link_empty(const struct kr_link *l) /* of a head: no members; of a node: not linked */
{
    return l->next == NULL || l->next == l;
}
static inline void kr_link_push(struct kr_link *head, struct kr_link *l) /* at the end */
{
    if (head->next == NULL)
        kr_link_init(head);
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}
static inline void kr_link_remove(struct kr_link *l) /* legal when not linked */
{
    if (!kr_link_empty(l)) {
        l->prev->next = l->next;
        l->next->prev = l->prev;
    }
    kr_link_init(l);
}
static inline struct kr_link *kr_link_pop(struct kr_link *head) /* the first, or NULL */
{
    struct kr_link *l = head->next;

    if (kr_link_empty(head))
        return NULL;
    kr_link_remove(l);
    return l;
}
/* Moves all members of from to the empty head to: how a turn takes a list. */
static inline void kr_link_take(struct kr_link *to, struct kr_link *from)
{
    kr_link_init(to);
    if (kr_link_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    kr_link_init(from);
}

#endif
