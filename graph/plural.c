/* SPDX-License-Identifier: Apache-2.0 */
/* plural.c - the plural of a kind, as kro forms it: the resource name of the generated CRD.
 *
 * It must agree letter for letter with the names of CRDs that exist, so the odd results stay odd
 * (`dns` gives `dnsDNSes`, `demo` gives `demoes`). Three tables: whole words, suffixes, acronyms.
 *
 * Source: gobuffalo/flect 1.0.3; reference rgd-graph, Appendix A.
 */
#include "graph/internal.h"

#include "cel/base/banned.h"

enum { ONE_WAY = 1, EXACT = 2 };

struct word {
    kr_str one, many, other;
    int flags; /* ONE_WAY: its plural is no word of its own; EXACT: no suffix rule is made of it */
};

/* clang-format off */
#define T(text) {text, sizeof(text) - 1}
#define W(one, many, other, flags) {T(one), T(many), T(other), flags},
static const struct word words[] = {
    W("aircraft", "aircraft", "", 0) W("beef", "beef", "beefs", 0) W("bison", "bison", "", 0)
    W("blues", "blues", "", ONE_WAY) W("chassis", "chassis", "", 0) W("deer", "deer", "", 0)
    W("fish", "fish", "fishes", 0) W("moose", "moose", "", 0) W("police", "police", "", 0)
    W("salmon", "salmon", "salmons", 0) W("series", "series", "", 0) W("sheep", "sheep", "", 0)
    W("shrimp", "shrimp", "shrimps", 0) W("species", "species", "", 0)
    W("swine", "swine", "swines", 0) W("trout", "trout", "trouts", 0)
    W("tuna", "tuna", "tunas", 0) W("you", "you", "", 0) W("child", "children", "", 0)
    W("ox", "oxen", "", EXACT) W("foot", "feet", "", 0) W("goose", "geese", "", 0)
    W("man", "men", "", 0) W("human", "humans", "", 0) W("louse", "lice", "", EXACT)
    W("mouse", "mice", "", 0) W("tooth", "teeth", "", 0) W("woman", "women", "", 0)
    W("die", "dice", "", EXACT) W("person", "people", "", 0) W("adieu", "adieux", "adieus", 0)
    W("fabliau", "fabliaux", "", 0) W("bureau", "bureaus", "bureaux", 0)
    W("criterion", "criteria", "", 0) W("ganglion", "ganglia", "ganglions", 0)
    W("lexicon", "lexica", "lexicons", 0)
    W("mitochondrion", "mitochondria", "mitochondrions", 0) W("noumenon", "noumena", "", 0)
    W("phenomenon", "phenomena", "", 0) W("taxon", "taxa", "", 0) W("media", "media", "", 0)
    W("medium", "media", "mediums", ONE_WAY) W("stadium", "stadiums", "stadia", 0)
    W("aquarium", "aquaria", "aquariums", 0) W("auditorium", "auditoria", "auditoriums", 0)
    W("symposium", "symposia", "symposiums", 0) W("curriculum", "curriculums", "curricula", 0)
    W("quota", "quotas", "", 0) W("alumnus", "alumni", "alumnuses", 0)
    W("bacillus", "bacilli", "", 0) W("cactus", "cacti", "cactuses", 0)
    W("coccus", "cocci", "", 0) W("focus", "foci", "focuses", 0)
    W("locus", "loci", "locuses", 0) W("nucleus", "nuclei", "nucleuses", 0)
    W("octopus", "octupuses", "octopi", 0) W("radius", "radii", "radiuses", 0)
    W("syllabus", "syllabi", "", 0) W("corpus", "corpora", "corpuses", 0)
    W("genus", "genera", "", 0) W("alumna", "alumnae", "", 0) W("vertebra", "vertebrae", "", 0)
    W("differentia", "differentiae", "", 0) W("minutia", "minutiae", "", 0)
    W("vita", "vitae", "", 0) W("larva", "larvae", "", 0) W("postcava", "postcavae", "", 0)
    W("praecava", "praecavae", "", 0) W("uva", "uvae", "", 0) W("apex", "apices", "apexes", 0)
    W("codex", "codices", "codexes", 0) W("index", "indices", "indexes", 0)
    W("latex", "latices", "latexes", 0) W("vertex", "vertices", "vertexes", 0)
    W("vortex", "vortices", "vortexes", 0) W("appendix", "appendices", "appendixes", 0)
    W("radix", "radices", "radixes", 0) W("helix", "helices", "helixes", 0)
    W("axis", "axes", "", EXACT) W("crisis", "crises", "", 0)
    W("ellipsis", "ellipses", "", ONE_WAY) W("genesis", "geneses", "", 0)
    W("oasis", "oases", "", 0) W("thesis", "theses", "", 0) W("testis", "testes", "", 0)
    W("base", "bases", "", 0) W("basis", "bases", "", ONE_WAY) W("alias", "aliases", "", EXACT)
    W("vedalia", "vedalias", "", 0) W("use", "uses", "", EXACT) W("abuse", "abuses", "", 0)
    W("cause", "causes", "", 0) W("clause", "clauses", "", 0) W("cruse", "cruses", "", 0)
    W("excuse", "excuses", "", 0) W("fuse", "fuses", "", 0) W("house", "houses", "", 0)
    W("misuse", "misuses", "", 0) W("muse", "muses", "", 0) W("pause", "pauses", "", 0)
    W("ache", "aches", "", 0) W("topaz", "topazes", "", 0)
    W("buffalo", "buffaloes", "buffalos", 0) W("potato", "potatoes", "", 0)
    W("tomato", "tomatoes", "", 0) W("equipment", "equipment", "", 0)
    W("information", "information", "", 0) W("jeans", "jeans", "", 0)
    W("money", "money", "", 0) W("news", "news", "", 0) W("rice", "rice", "", 0)
    W("dwarf", "dwarfs", "dwarves", 0) W("hoof", "hoofs", "hooves", 0)
    W("thief", "thieves", "", 0) W("chive", "chives", "", 0) W("hive", "hives", "", 0)
    W("move", "moves", "", 0) W("movie", "movies", "", 0) W("cookie", "cookies", "", 0)
    W("pretorium", "pretoriums", "", 0) W("agenda", "agendas", "", 0)
    W("formula", "formulas", "formulae", 0) W("shoe", "shoes", "", 0)
    W("toe", "toes", "", EXACT) W("graffiti", "graffiti", "", 0) W("ID", "IDs", "", EXACT)
};
#undef W

#define R(from, to) {T(from), T(to)},
static const struct suffix {
    kr_str from, to;
} suffixes[] = {
    R("tive", "tives") R("eaf", "eaves") R("oaf", "oaves") R("afe", "aves") R("arf", "arves")
    R("rfe", "rves") R("rf", "rves") R("lf", "lves") R("fe", "ves") R("ay", "ays")
    R("ey", "eys") R("oy", "oys") R("quy", "quies") R("uy", "uys") R("y", "ies")
    R("eau", "eaux") R("bula", "bulae") R("dula", "bulae") R("lula", "bulae")
    R("nula", "bulae") R("vula", "bulae") R("hedron", "hedra") R("ium", "ia")
    R("seum", "seums") R("eum", "ea") R("oum", "oa") R("stracum", "straca") R("dum", "da")
    R("elum", "ela") R("ilum", "ila") R("olum", "ola") R("ulum", "ula") R("llum", "lla")
    R("ylum", "yla") R("imum", "ima") R("ernum", "erna") R("gnum", "gna") R("brum", "bra")
    R("crum", "cra") R("terum", "tera") R("serum", "sera") R("trum", "tra") R("antum", "anta")
    R("atum", "ata") R("entum", "enta") R("etum", "eta") R("itum", "ita") R("otum", "ota")
    R("utum", "uta") R("ctum", "cta") R("ovum", "ova") R("trix", "trices") R("iasis", "iases")
    R("mesis", "meses") R("kinesis", "kineses") R("resis", "reses") R("gnosis", "gnoses")
    R("opsis", "opses") R("ysis", "yses") R("ouse", "ouses") R("lause", "lauses")
    R("us", "uses") R("ch", "ches") R("io", "ios") R("sh", "shes") R("ss", "sses")
    R("ez", "ezzes") R("iz", "izzes") R("tz", "tzes") R("zz", "zzes") R("ano", "anos")
    R("lo", "los") R("to", "tos") R("oo", "oos") R("o", "oes") R("x", "xes") R("S", "Ses")
};

#undef R

static const char *const acronyms[] = {
    "ACK", "ACL", "ADSL", "AES", "ANSI", "API", "ARP", "ATM", "BGP", "BSS", "CCITT", "CHAP",
    "CIDR", "CIR", "CLI", "CMOS", "CPE", "CPU", "CRC", "CRT", "CSMA", "DCE", "DEC", "DES",
    "DHCP", "DMI", "DNS", "DRAM", "DSL", "DSLAM", "DTE", "EHA", "EIA", "EIGRP", "EOF", "ESS",
    "FCC", "FCS", "FDDI", "FTP", "GBIC", "GEPOF", "HDLC", "HTML", "HTTP", "HTTPS", "IANA",
    "ICMP", "ID", "IDF", "IDS", "IEEE", "IETF", "IMAP", "IP", "IPS", "ISDN", "ISP", "JSON",
    "JWT", "LACP", "LAN", "LAPB", "LAPF", "LLC", "MAC", "MC", "MDF", "MIB", "MPLS", "MTU",
    "NAC", "NAT", "NBMA", "NIC", "NRZ", "NRZI", "NVRAM", "OK", "OSI", "OSPF", "OUI", "PAP",
    "PAT", "PC", "PCM", "PDU", "PIM", "POP3", "POTS", "PPP", "PPTP", "PTT", "PVST", "RAM",
    "RARP", "RCP", "RFC", "RIP", "RLL", "ROM", "RSTP", "RTP", "SDLC", "SFD", "SFP", "SLARP",
    "SLIP", "SMTP", "SNA", "SNAP", "SNMP", "SOF", "SQL", "SRAM", "SSH", "SSID", "STP", "SYN",
    "TDM", "TFTP", "TIA", "TOFU", "UDP", "URI", "URL", "USB", "UTF8", "UTP", "UUID", "VC",
    "VLAN", "VLSM", "VPN", "W3C", "WAN", "WEP", "WPA", "WWW",
};
/* clang-format on */

static bool dictionary(kr_str s, kr_str *many)
{
    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_eq(s, words[i].one)) {
            *many = words[i].many;
            return true;
        }
    }
    for (size_t i = 0; i < KR_N(words); i++) {
        if (words[i].flags & ONE_WAY)
            continue;
        if (kr_str_eq(s, words[i].many) || (words[i].other.n && kr_str_eq(s, words[i].other))) {
            *many = s;
            return true;
        }
    }
    return false;
}

/* The first rule that s ends with, as (suffix, its plural). */
static bool rule_of(kr_str s, kr_str *from, kr_str *to)
{
    for (size_t i = KR_N(words); i-- > 0;) {
        if (words[i].flags & EXACT)
            continue;
        *to = words[i].many;
        *from = words[i].many;
        if (kr_str_ends(s, *from))
            return true;
        *from = words[i].one;
        if (kr_str_ends(s, *from))
            return true;
    }
    for (size_t i = 0; i < KR_N(suffixes); i++) {
        *to = suffixes[i].to;
        *from = suffixes[i].to;
        if (kr_str_ends(s, *from))
            return true;
        *from = suffixes[i].from;
        if (kr_str_ends(s, *from))
            return true;
    }
    return false;
}

static bool acronym(kr_str upper)
{
    for (size_t i = 0; i < KR_N(acronyms); i++) {
        if (acronyms[i][0] == upper.s[0] && kr_str_eq(upper, kr_str_c(acronyms[i])))
            return true;
    }
    return false;
}

static kr_str upper_of(struct kr_arena *a, kr_str s)
{
    char *up = kr_arena_bytes(a, s.n + 1);

    for (size_t i = 0; i < s.n; i++)
        up[i] = s.s[i] >= 'a' && s.s[i] <= 'z' ? (char)(s.s[i] - 'a' + 'A') : s.s[i];
    up[s.n] = 0;
    return (kr_str){up, s.n};
}

kr_str graph_plural(struct kr_arena *a, kr_str word)
{
    kr_str last = word, upper = upper_of(a, word), many, head;
    kr_str from, to;

    if (dictionary(word, &many))
        return kr_strdup(a, many);
    if (acronym(upper))
        last = upper;
    if (rule_of(last, &from, &to)) {
        head = kr_str_sub(last, 0, last.n - from.n);
        if (last.s != word.s && !kr_str_ends(word, last)) /* an acronym is put behind the word */
            return kr_fmt(a, KR_FMT KR_FMT KR_FMT, KR_ARG(word), KR_ARG(head), KR_ARG(to));
        return kr_fmt(a, KR_FMT KR_FMT, KR_ARG(head), KR_ARG(to));
    }
    if (kr_str_ends(word, KR_S("s")))
        return kr_strdup(a, word);
    return kr_fmt(a, KR_FMT "s", KR_ARG(word));
}
