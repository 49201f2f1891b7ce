/* SPDX-License-Identifier: Apache-2.0 */
/* h2server.h - an HTTP/2 server (without TLS) on loopback, in a thread of its own, whose paths say how it
 * behaves:
 *
 *   /echo         200, and the method, a blank, the length of the body, a blank, the authority, the path
 *   /big?N        200, and N bytes
 *   /hold         200, eight bytes, and never an end
 *   /freeze       as /hold, and then nothing more on this connection, as behind a dead balancer
 *   /mute         nothing
 *   /early        103, then as /echo
 *   /trailer      as /echo, then a trailer
 *   /busy         429 with "retry-after: 7"
 *   /reset        RST_STREAM
 *   /cut          200, eight bytes, and the connection is closed
 *   /drop         the connection is closed
 *   /junk         bytes that are no frame
 *   /goaway       GOAWAY that counts this stream, then as /echo
 *   /refuse?N     REFUSED_STREAM the first N times, then as /echo
 *   /leave?N      GOAWAY that does not count this stream, the first N times; then as /echo
 *   /drop?N       as /drop the first N times, then as /echo
 */
#ifndef H2SERVER_H
#define H2SERVER_H

#include <stdint.h>

struct h2server;

struct h2server *h2server_start(uint32_t streams_max); /* of a connection; 0: says nothing of it */
void h2server_stop(struct h2server *s);
int h2server_port(const struct h2server *s);
uint32_t h2server_connections_n(struct h2server *s); /* accepted so far */
uint32_t h2server_requests_n(struct h2server *s);    /* streams opened so far */
uint32_t h2server_pings_n(struct h2server *s);       /* asked so far */
void h2server_calm(struct h2server *s);              /* the N above count from nought again */

#endif
