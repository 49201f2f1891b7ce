/* SPDX-License-Identifier: Apache-2.0 */
#include "cel/base/digest.h"

#include "tests/lib/test.h"

static void expect_digest(enum kr_digest_kind kind, kr_str s, size_t n, const char *want)
{
    KR_AUTO(kr_arena) a = {0};
    uint8_t d[KR_DIGEST_MAX];

    assert_int_equal(kr_digest_bytes(kind, s, d), n);
    EXPECT_TEXT(kr_hex(&a, d, n).s, want);
}

TEST(kr_digest, known_answers)
{
    expect_digest(KR_MD5, KR_S("abc"), 16, "900150983cd24fb0d6963f7d28e17f72");
    expect_digest(KR_SHA1, KR_S("abc"), 20, "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_digest(KR_SHA256, KR_S("abc"), 32,
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_digest(KR_SHA512, KR_S("abc"), 64,
                  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    expect_digest(KR_SHA256, (kr_str){0}, 32,
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(kr_fnv, known_answers)
{
    assert_true(kr_fnv1a64(KR_S("")) == 0xcbf29ce484222325ull);
    assert_true(kr_fnv1a64(KR_S("foobar")) == 0x85944171f73967e8ull);
    assert_true(kr_fnv64(KR_S("foobar")) == 0x340d8765a4dda9c2ull);
    assert_true(kr_fnv1a32(KR_S("foobar")) == 0xbf9cf968u);
}

TEST(kr_base64, known_answers)
{
    static const char *const std[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                      "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    KR_AUTO(kr_arena) a = {0};
    kr_str back;

    for (size_t n = 0; n < KR_N(std); n++) {
        kr_str s = kr_str_sub(KR_S("foobar"), 0, n);

        EXPECT_TEXT(kr_base64_encode(&a, s, KR_BASE64_STD).s, std[n]);
        assert_true(kr_base64_decode(&a, kr_str_c(std[n]), &back));
        assert_true(kr_str_eq(back, s));
    }
    EXPECT_TEXT(kr_base64_encode(&a, KR_S("\xfb\xff\xfe\xff"), KR_BASE64_STD).s, "+//+/w==");
    EXPECT_TEXT(kr_base64_encode(&a, KR_S("\xfb\xff\xfe\xff"), KR_BASE64_URL_NOPAD).s, "-__-_w");
    assert_true(kr_base64_decode(&a, KR_S("\nZm\r\n9v\nYg=\n=\n"), &back));
    assert_true(kr_str_is(back, "foob"));
    assert_true(kr_base64_decode(&a, KR_S("Zh=="), &back)); /* unused bits may be set, as in Go */
}

TEST(kr_base64, all_bytes_survive)
{
    char bytes[256];
    KR_AUTO(kr_arena) a = {0};
    kr_str back;

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (size_t n = 0; n <= 256; n++) {
        kr_str text = kr_base64_encode(&a, (kr_str){bytes, n}, KR_BASE64_STD);

        assert_true(kr_base64_decode(&a, text, &back));
        assert_true(kr_str_eq(back, (kr_str){bytes, n}));
    }
}

TEST(kr_base64, what_is_not_base64_is_refused)
{
    static const char *const bad[] = {"Z",    "Zg",      "Zg=",   "Zm9",      "Zg===", "=",
                                      "====", "Z===",    "Zg=a",  "Zg==Zg==", "Zm 9v", "Zm9v-",
                                      "Zm-_", "Zg==\nx", "Zm9vZ", "\x80m9v"};
    KR_AUTO(kr_arena) a = {0};
    kr_str out;

    for (size_t i = 0; i < KR_N(bad); i++)
        assert_false(kr_base64_decode(&a, kr_str_c(bad[i]), &out));
}

TEST(kr_uuid5, known_answers)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(kr_uuid5(&a, KR_S("http://www.example.com/")).s,
                "fcde3c85-2270-590f-9e7c-ee003d65e0e2");
    EXPECT_TEXT(kr_uuid5(&a, (kr_str){0}).s, "1b4db7eb-4057-5ddf-91e0-36dec72071f5");
}

int main(void)
{
    return RUN(T(kr_digest, known_answers), T(kr_fnv, known_answers), T(kr_base64, known_answers),
               T(kr_base64, all_bytes_survive), T(kr_base64, what_is_not_base64_is_refused),
               T(kr_uuid5, known_answers));
}
