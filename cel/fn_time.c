/* SPDX-License-Identifier: Apache-2.0 */
/* fn_time.c - fields of timestamps and durations.
 *
 * Without a zone a timestamp is read in UTC, whatever offset it was written with. A zone is an
 * offset ("+05:30") or a name, looked up in the system's tzdata.
 *
 * Source: cel-go common/types/{timestamp,duration}.go; reference section 12.1.
 */
#include "cel/functions.h"

#include "cel/base/time.h"
#include "cel/text.h"
#include "cel/zone.h"

#include "cel/base/banned.h"

/* "[+-]H[H]:MM": two integers parted by the first colon; the sign of the text is that of both. */
static int offset_text(struct cel__vm *vm, kr_str tz, int32_t *offset)
{
    ptrdiff_t colon = kr_str_chr(tz, ':');
    int64_t hours;
    int64_t minutes;

    if (!cel__parse_int(kr_str_sub(tz, 0, (size_t)colon), &hours))
        return cel__raise(vm, "strconv.Atoi: parsing " KR_FMT ": invalid syntax",
                          KR_ARG(cel__quote_go(vm->a, kr_str_sub(tz, 0, (size_t)colon))));
    if (!cel__parse_int(kr_str_sub(tz, (size_t)colon + 1, tz.n), &minutes))
        return cel__raise(vm, "strconv.Atoi: parsing " KR_FMT ": invalid syntax",
                          KR_ARG(cel__quote_go(vm->a, kr_str_sub(tz, (size_t)colon + 1, tz.n))));
    if (hours < -23 || hours > 23)
        return cel__raise(vm, "timezone offset hours out of range [-23, 23]: " KR_FMT, KR_ARG(tz));
    if (minutes < 0 || minutes > 59)
        return cel__raise(vm, "timezone offset minutes out of range [0, 59]: " KR_FMT, KR_ARG(tz));
    *offset = (int32_t)(hours * 3600 + (tz.s[0] == '-' ? -minutes : minutes) * 60);
    return 0;
}

static int zone_offset(struct cel__vm *vm, kr_str tz, int64_t seconds, int32_t *offset)
{
    *offset = 0;
    if (!tz.n || kr_str_is(tz, "UTC") || kr_str_is(tz, "Local"))
        return 0;
    if (kr_str_chr(tz, ':') >= 0)
        return offset_text(vm, tz, offset);
    if (kr_str_find(tz, KR_S("..")) >= 0 || tz.s[0] == '/' || tz.s[0] == '\\')
        return cel__raise(vm, "time: invalid location name");
    KR_TRY(cel__charge(vm, 1000)); /* a file is read */
    if (!cel__zone_offset(vm->a, tz, seconds, offset))
        return cel__raise(vm, "unknown time zone " KR_FMT, KR_ARG(tz));
    return 0;
}

static int civil_of(struct cel__vm *vm, const kr_val *args, uint32_t n, struct kr_civil *c)
{
    int32_t offset = 0;

    if (n > 1)
        KR_TRY(zone_offset(vm, kr_text(args[1]), args[0].i, &offset));
    kr_civil_of(args[0].i + offset, args[0].n, c);
    return 0;
}

#define TIME_FIELD(name, expr)                                                                     \
    int fn_time_##name(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)            \
    {                                                                                              \
        struct kr_civil c;                                                                         \
                                                                                                   \
        KR_TRY(civil_of(vm, args, n, &c));                                                         \
        *out = kr_int(expr);                                                                       \
        return 0;                                                                                  \
    }

TIME_FIELD(year, c.year)
TIME_FIELD(month, c.month - 1)
TIME_FIELD(date, c.day)
TIME_FIELD(day_of_month, c.day - 1)
TIME_FIELD(day_of_week, c.weekday)
TIME_FIELD(day_of_year, c.yearday)
TIME_FIELD(hours, c.hour)
TIME_FIELD(minutes, c.minute)
TIME_FIELD(seconds, c.second)
TIME_FIELD(milliseconds, c.nanos / 1000000)

#define DURATION_FIELD(name, unit)                                                                 \
    int fn_duration_##name(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)        \
    {                                                                                              \
        *out = kr_int(args[0].i / INT64_C(unit));                                                  \
        return 0;                                                                                  \
    }

DURATION_FIELD(hours, 3600000000000)
DURATION_FIELD(minutes, 60000000000)
DURATION_FIELD(seconds, 1000000000)

int fn_duration_milliseconds(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    int64_t ms = args[0].i / 1000000;

    *out = kr_int(vm->p->spec ? ms % 1000 : ms); /* cel-go gives all of them */
    return 0;
}
