// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

var ints = []string{
	"0", "1", "-1", "2", "3", "5", "7", "10", "-3", "63", "64", "100", "255", "1000", "-128", "3600", "1000000",
	"2147483647", "-2147483648", "4294967296", "9007199254740991", "9007199254740993", "-9007199254740993",
	"9223372036854775807", "-9223372036854775808", "-9223372036854775807", "253402300799", "253402300800",
	"-62135596800", "-62135596801", "0x7fffffffffffffff", "-0x8000000000000000", "0x10", "007",
}

var uints = []string{
	"0u", "1u", "2u", "3u", "10u", "63u", "255u", "1000U", "4294967295u", "9007199254740993u",
	"9223372036854775807u", "9223372036854775808u", "18446744073709551615u", "0xffu",
}

var doubles = []string{
	"0.0", "-0.0", "1.0", "-1.0", "0.5", "1.5", "-2.5", "2.0", "3.0", "1e3", "1e6", "1234567.8", "999999.0", "1e20",
	"1e21", "123456789012345680.0", "0.1", "0.30000000000000004", "0.0001", "0.00001", "1e-7", "5e-324", "1.7976931348623157e308",
	"9007199254740993.0", "9223372036854775807.0", "9223372036854775808.0", "-9223372036854775808.0", "18446744073709551615.0",
	"18446744073709551616.0", ".25", "2.5e-3", "6.02214076e23", "100.0", "33.3", "4.35", "0.125",
	"double('NaN')", "double('Infinity')", "double('-Infinity')",
}

// Raw strings; a literal's spelling is chosen when it is written.
var words = []string{
	"", "a", "b", "abc", "A", "hello", "Hello, World", "x-y", "foo.bar", "key", "name", "0", "1", "-5", "3.14", "true",
	" padded ", "\ttab\n", "a,b,c", "a b c", "aaa", "abab", "quote\"s'", "back\\slash", "%s %d", "%", "100%%",
	"é", "ß", "日本", "\U0001F600", "a\u0301", "\u00a0nbsp\u00a0", "\u2028", "héllo wörld", "ΑΒΓ", "\x00", "\x7f", "\u200b",
	"\ufeff", "<b>&amp;</b>", "a/b/c", "x=1&y=2", "camelCase", "UPPER", "z", "\ue000", "\U0010ffff", "İı", "e\u0301\u0302",
}

var hints = map[string][]string{
	"timestamp": {
		"2009-02-13T23:31:30Z", "1970-01-01T00:00:00Z", "2024-02-29T12:00:00.123456789Z", "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999Z", "2021-06-15T08:30:00+05:30", "2021-12-31T23:59:59-08:00", "2000-01-01T00:00:00.5Z",
		"2023-03-26T01:30:00Z", "1969-12-31T23:59:59.999Z", "2023-13-01T00:00:00Z", "2023-02-30T00:00:00Z", "2023-01-01",
		"2023-01-01T00:00:00", "2023-01-01t00:00:00z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "x",
		"2016-12-31T23:59:60Z", "2021-06-15T08:30:00.1234567891Z", "2021-06-15T24:00:00Z", "2021-06-15T08:30:00+24:00",
		"1900-03-01T00:00:00Z", "2021-06-15T08:30:00-00:00", "2021-06-15T08:30:00,5Z", "2021-6-15T08:30:00Z",
	},
	"duration": {
		"0", "0s", "1s", "1h", "90m", "1.5h", "-1.5s", "100ms", "1us", "1µs", "1μs", "1ns", "2h45m30.5s", "1h1h", "9223372036s",
		"9223372037s", "2562047h47m16.854775807s", "-2562047h47m16.854775808s", "1d", "1", "", "s", ".5s", "1.s", "+5m", "1.0000000001s",
		"-0s", "1h-1m", "3600s", "24h", "1e3s", "0.000000001s", "--1s",
	},
	"int":    {"0", "1", "-1", "+7", "007", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "", "1.0", "0x10", "1_000", " 1", "abc", "18446744073709551615", "-0"},
	"double": {"0", "1.5", "-0", "1e3", "NaN", "nan", "inf", "-Infinity", "+Inf", "1_000.5", "0x1p-2", "1e400", "", " 1", "1.", ".5", "abc", "1e", "infinit", "4.9e-324", "1e-400", "0x1.8p1", "179769313486231580793728971405301e277"},
	"bool":   {"true", "false", "1", "0", "t", "F", "TRUE", "False", "tRUE", "yes", "", "T"},
	"quantity": {
		"0", "1", "-1", "50k", "50Ki", "1e3", "1E3", "1E", "1.5", "1.5Gi", "500m", "100n", "1u", "0.1", ".5", "5.", "1Ki", "1Ti", "1Pi", "1Ei",
		"9E", "10E", "8Ei", "1.0", "1000m", "-2.5Mi", "+3", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890",
		"0.0000000001", "1.123456789012", "1K", "1mi", "", "Ki", "1 k", "1e-3", "1e+20", "1e-20", "--1", "1.2.3", "0.5Ki", "3.7m", "1e3k", "007", "1G",
		"12345678901234567.8", "0.000000001", "-0.0000000001", "1000000000000000000", "999999999999999999m", "1k", "1000", "1024", "0Ki", "-0", "1e", "1e5E",
	},
	"url": {
		"https://example.com", "http://a:80/b?c=d#e", "https://user:pw@host.example:8443/path/to?x=1&y=2&x=3", "/abs/path", "mailto:a@b.c",
		"http://[::1]:80/", "http://[fe80::1%25en0]/", "HTTP://UPPER.example/A%20B", "http://host/%zz", "http://ho st/", "", "relative", "://x",
		"http://a:port/", "file:///etc/passwd", "//host/path", "http://h?a=1;b=2&c", "http://h/a b", "http://é.example/ü?q=ö", "https://a/b%2Fc/d?e=%41%2b+f",
		"http://[127.0.0.1]/", "ws://::1", "http://::1", "http://h/#frag", "http://h?", "1http://x", "a+b.c-d://x/y", "http:opaque", "http://u@h@i/", "/a:b", "http://h:0/?=", "\x7f://",
	},
	"ip": {
		"127.0.0.1", "0.0.0.0", "::", "::1", "192.168.0.1", "10.0.0.1", "169.254.1.1", "224.0.0.1", "ff02::1", "fe80::1", "255.255.255.255", "2001:db8::68",
		"2001:DB8:0:0:0:0:0:1", "::ffff:1.2.3.4", "fe80::1%en0", "1.2.3", "01.2.3.4", "256.1.1.1", "1.2.3.4.5", "", "abc", "1:2:3:4:5:6:7:8", "1::2::3", "::1.2.3.4", "2001:db8::", "ff01::1", "8.8.8.8", ":1", "1:", "12345::", "1.2.3.4/8", "ff05::2",
	},
	"cidr": {
		"10.0.0.0/8", "192.168.1.5/24", "0.0.0.0/0", "::/0", "2001:db8::/32", "fe80::1/64", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0", "::1/128", "127.0.0.1/32",
		"::ffff:1.2.3.4/96", "10.0.0.0/-1", "10.0.0.0/+8", "x/8", "", "1.2.3.4/", "fe80::%en0/64", "192.168.0.0/16", "10.1.2.0/23", "2001:db8:abcd::/129",
	},
	"semver": {
		"1.2.3", "0.0.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-0.3.7", "1.0.0+build.1", "1.0.0-rc.1+build", "v1.2.3", "1.2", "1", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "",
		"18446744073709551615.0.0", "18446744073709551616.0.0", "1.2.3.4", "a.b.c", "1.-2.3", "1.2.3-a..b", "10.20.30", "1.2.3-beta_1", "1.0.0-1", "1.0.0-10", "1.0.0-a1", " 1.2.3", "v1", "1.02.3", "1.2.3-x.7.z.92",
	},
	"regex": {
		"a", "a+", "^a.*z$", "[0-9]+", "(a|b)*", "\\d{2,3}", "\\w+", "[^ ]+", "(", "a{1001}", "[z-a]", "(?i)HELLO", "(?P<n>a)(b)?", "^$", "", "\\pL+", "[[:alpha:]]", "a*?", "x*", ".", "\\bfoo", "é+", "(?s).*",
		"*", "a**", "\\", "[a", "(?<x>l)l", "\\Qa.b\\E", "\\x41", "(?!a)", "a|", "l+", "o\\b", "[^a-z]", "^", "$", "(h)(e)", "\\C", "[[:foo:]]", "a{2,1}", "x{-1}", "\\8",
	},
	"zone": {
		"UTC", "", "Europe/Paris", "America/New_York", "Asia/Kolkata", "US/Central", "EST", "+05:30", "-08:00", "05:30", "-2:30", "-00:30", "24:00", "12:60", "Mars/Olympus", "x:y", "+23:59", "Australia/Lord_Howe", "Pacific/Apia", ":", "1:2:3", "europe/paris", "America/St_Johns", "00:00", "../etc",
	},
	"base64":    {"", "aGVsbG8=", "aGVsbG8", "YQ==", "YQ", "+/+/", "-_-_", "a", "YW Jj", "YWJj\n", "====", "YQ=", "YWI=", "ÿ", "YQ==YQ=="},
	"separator": {"", ",", " ", "a", "b", ".", "ab", "/", "é", "aa", "-", "\U0001F600", "l"},
	"format":    {"dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime", "nope", "dns1035LabelPrefix", "dns1123SubdomainPrefix"},
	"formatted": {"my-name", "My_Name", "a.b.c", "a/b", "-x", "x-", "2024-01-01", "2024-01-01T00:00:00Z", "aGk=", "123e4567-e89b-12d3-a456-426614174000", "https://a/b", "", "a..b", "1abc", "ab-"},
	"rewrite":   {"", "x", "\\1", "\\0", "<\\1>", "\\2", "\\", "\\\\", "a\\b", "$1", "\\1\\1"},
}

// quoteSome spells a string literal in one of the ways there are.
func quoteSome(r *rand.Rand, s string, bytes bool) string {
	prefix := ""
	if bytes {
		prefix = []string{"b", "b", "B"}[r.IntN(3)]
	}
	if r.IntN(8) == 0 && !strings.ContainsAny(s, "\"\n\r\x00") {
		return prefix + "r\"" + s + "\""
	}
	if r.IntN(20) == 0 && !strings.ContainsAny(s, "'\\\r\x00") && !strings.HasSuffix(s, "'") {
		return prefix + "'''" + s + "'''"
	}
	quote := []byte("'\"")[r.IntN(2)]
	var b strings.Builder
	b.WriteString(prefix)
	b.WriteByte(quote)
	for _, c := range s {
		switch {
		case c == rune(quote) || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString("\\n")
		case c == '\r':
			b.WriteString("\\r")
		case c == 0 || (c < 0x80 && r.IntN(40) == 0):
			if r.IntN(2) == 0 {
				fmt.Fprintf(&b, "\\x%02x", c)
			} else {
				fmt.Fprintf(&b, "\\%03o", c)
			}
		case c >= 0x80 && !bytes && r.IntN(6) == 0:
			if c > 0xffff || r.IntN(2) == 0 {
				fmt.Fprintf(&b, "\\U%08x", c)
			} else {
				fmt.Fprintf(&b, "\\u%04x", c)
			}
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

func pick(r *rand.Rand, from []string) string {
	return from[r.IntN(len(from))]
}

// first prefers what stands in front: the usual before the odd.
func first(r *rand.Rand, from []string) string {
	return from[min(r.IntN(len(from)), r.IntN(len(from)), r.IntN(len(from)))]
}

func randomString(r *rand.Rand) string {
	switch r.IntN(10) {
	case 0: // one of the texts that some function reads
		all := []string{"timestamp", "duration", "int", "double", "quantity", "url", "ip", "cidr", "semver", "regex", "base64"}
		return first(r, hints[pick(r, all)])
	case 1:
		return pick(r, words) + pick(r, words)
	}
	return pick(r, words)
}

func intText(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return strconv.Itoa(r.IntN(12) - 2)
	case 1:
		return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
	}
	return first(r, ints)
}

func uintText(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return strconv.Itoa(r.IntN(12)) + "u"
	case 1:
		return strconv.FormatUint(r.Uint64()>>r.IntN(64), 10) + "u"
	}
	return first(r, uints)
}

func doubleLiteral(r *rand.Rand) string {
	var d float64
	switch r.IntN(4) {
	case 0:
		d = float64(r.IntN(4000)-2000) / float64(int(1)<<r.IntN(8))
	case 1:
		d = math.Float64frombits(r.Uint64())
	default:
		return first(r, doubles)
	}
	if math.IsNaN(d) || math.IsInf(d, 0) {
		return "0.0"
	}
	s := strconv.FormatFloat(d, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}
