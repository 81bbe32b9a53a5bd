/* The least that a DNS server can cost: each query comes back as its own response, and nobody looks at it.
 *
 * Usage: echo PORT (on 127.0.0.1). It takes and gives packets in batches, as the servers that it stands beside do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, SIZE = 1232, HEADER = 12, FLAGS = 2 };

static unsigned char packets[BATCH][SIZE];
static struct sockaddr_in peers[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

static void lay_out(int index, size_t size)
{
    parts[index] = (struct iovec){packets[index], size};
    messages[index].msg_hdr = (struct msghdr){
        .msg_name = &peers[index], .msg_namelen = sizeof peers[index], .msg_iov = &parts[index], .msg_iovlen = 1};
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    if (sock < 0 || bind(sock, (struct sockaddr *)&own, sizeof own) < 0) {
        perror("echo");
        return 1;
    }
    for (;;) {
        for (int index = 0; index < BATCH; index++)
            lay_out(index, SIZE);
        int got = recvmmsg(sock, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int index = 0; index < got; index++) {
            if (messages[index].msg_len >= HEADER)
                packets[index][FLAGS] |= 0x80; /* QR: it is a response */
            parts[index].iov_len = messages[index].msg_len;
        }
        for (int sent = 0; sent < got;) {
            int more = sendmmsg(sock, messages + sent, (unsigned)(got - sent), 0);
            if (more <= 0)
                break;
            sent += more;
        }
    }
}
