/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/buf.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/lib/test.h"

TEST(kr_buf, grows_and_stays_terminated)
{
    KR_AUTO(kr_buf) b = KR_BUF(100000);

    assert_null(b.s);
    for (int i = 0; i < 10000; i++) {
        kr_buf_chr(&b, (char)('a' + i % 26));
        assert_int_equal(b.s[b.n], 0);
    }
    kr_buf_str(&b, KR_S("end"));
    kr_buf_fmt(&b, "%d", 12345);
    assert_int_equal(b.n, 10008);
    EXPECT_TEXT(b.s + 10000, "end12345");
    kr_buf_reset(&b);
    assert_int_equal(kr_buf_view(&b).n, 0);
    EXPECT_TEXT(b.s, "");
}

TEST(kr_buf, holds_its_maximum_and_no_byte_more)
{
    KR_AUTO(kr_buf) b = KR_BUF(8);

    kr_buf_str(&b, KR_S("12345678"));
    assert_false(b.full);
    EXPECT_TEXT(b.s, "12345678");
    kr_buf_chr(&b, '9');
    assert_true(b.full);
    EXPECT_TEXT(b.s, "12345678");
    kr_buf_reset(&b);
    assert_false(b.full);
    kr_buf_fmt(&b, "%s", "too long a text");
    assert_true(b.full);
    kr_buf_chr(&b, 'x'); /* what follows a lost piece is lost too */
    assert_int_equal(b.n, 0);
}

TEST(kr_buf, room_is_behind_the_used_bytes)
{
    KR_AUTO(kr_buf) b = KR_BUF(16);
    char *p;

    kr_buf_str(&b, KR_S("ab"));
    p = kr_buf_room(&b, 14);
    assert_ptr_equal(p, b.s + 2);
    memcpy(p, "cd", 2);
    b.n += 2;
    EXPECT_TEXT(b.s, "abcd");
    assert_null(kr_buf_room(&b, 13));
    assert_true(b.full);
}

TEST(kr_buf, nothing_can_be_added_and_finished_twice)
{
    struct kr_buf b;

    kr_buf_init(&b, 0);
    kr_buf_add(&b, NULL, 0);
    assert_false(b.full);
    kr_buf_chr(&b, 'x');
    assert_true(b.full);
    kr_buf_fini(&b);
    kr_buf_fini(&b);
}

TEST(kr_buf, reads_files_up_to_its_maximum)
{
    char path[] = "/tmp/kr_buf_test_XXXXXX";
    int fd = mkstemp(path);
    KR_AUTO(kr_buf) b = KR_BUF(5);
    struct kr_err err = KR_ERR_NONE;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "12345", 5), 5);
    EXPECT_OK(kr_buf_read_file(&b, path, &err), &err);
    EXPECT_TEXT(b.s, "12345");
    kr_buf_reset(&b);
    assert_int_equal(write(fd, "6", 1), 1);
    assert_int_equal(kr_buf_read_file(&b, path, &err), KR_E_LIMIT);
    assert_non_null(strstr(err.text, path));
    close(fd);
    unlink(path);
    kr_buf_reset(&b);
    assert_int_equal(kr_buf_read_file(&b, path, &err), KR_E_INPUT);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(kr_buf_read_file(&b, "/", &err), KR_E_INPUT);
}

int main(void)
{
    return RUN(T(kr_buf, grows_and_stays_terminated), T(kr_buf, holds_its_maximum_and_no_byte_more),
               T(kr_buf, room_is_behind_the_used_bytes),
               T(kr_buf, nothing_can_be_added_and_finished_twice),
               T(kr_buf, reads_files_up_to_its_maximum));
}
