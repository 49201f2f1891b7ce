/* SPDX-License-Identifier: Apache-2.0 */
/* cert.h - a key and a certificate for 127.0.0.1 and localhost, made when they are needed. */
#ifndef SANDBOX_CERT_H
#define SANDBOX_CERT_H

#include "cel/base/err.h"

/* Self-signed, P-256, valid for a year around now_s (seconds since the epoch). Owned PEM texts. */
KR_MUST int sandbox_cert_make(int64_t now_s, char **key_pem, char **cert_pem, struct kr_err *err);
/* Fills bytes with random ones, for tokens. */
KR_MUST int sandbox_cert_random(uint8_t *bytes, size_t n, struct kr_err *err);

#endif
