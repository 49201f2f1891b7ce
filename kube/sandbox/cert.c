/* SPDX-License-Identifier: Apache-2.0 */
/* cert.c - the sandbox's certificate: its own authority, so that the kubeconfig can name it. */
#include "kube/sandbox/cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "cel/base/banned.h"

enum { DAY_S = 24 * 60 * 60, VALID_DAYS = 365 };

static bool extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    bool done;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    done = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return done;
}

/* Everything but the signature. */
static bool fill(X509 *cert, EVP_PKEY *key, int64_t now_s)
{
    X509_NAME *name = X509_get_subject_name(cert);
    uint64_t serial = (uint64_t)now_s;

    return X509_set_version(cert, 2) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now_s - DAY_S)) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(now_s + (int64_t)VALID_DAYS * DAY_S)) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"sandbox",
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
           extend(cert, NID_basic_constraints, "critical,CA:TRUE") &&
           extend(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1") &&
           extend(cert, NID_subject_key_identifier, "hash");
}

/* What a memory BIO holds, as owned text. */
static char *text_of(BIO *bio)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);

    return kr_cstrdup((kr_str){bytes, n > 0 ? (size_t)n : 0});
}

int sandbox_cert_make(int64_t now_s, char **key_pem, char **cert_pem, struct kr_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *key_text = BIO_new(BIO_s_mem()), *cert_text = BIO_new(BIO_s_mem());
    bool done = key && cert && key_text && cert_text && fill(cert, key, now_s) &&
                X509_sign(cert, key, EVP_sha256()) > 0 &&
                PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_bio_X509(cert_text, cert) == 1;

    if (done) {
        *key_pem = text_of(key_text);
        *cert_pem = text_of(cert_text);
    }
    BIO_free(key_text);
    BIO_free(cert_text);
    X509_free(cert);
    EVP_PKEY_free(key);
    return done ? 0 : kr_fail(err, KR_E_IO, "OpenSSL could not make a certificate");
}

int sandbox_cert_random(uint8_t *bytes, size_t n, struct kr_err *err)
{
    if (RAND_bytes(bytes, (int)n) != 1)
        return kr_fail(err, KR_E_IO, "OpenSSL has no random bytes");
    return 0;
}
