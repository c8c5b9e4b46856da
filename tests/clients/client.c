/* One job and its events, from C: cc client.c -o client -lnats ; ./client NATS_URL JOB
   Publishes the job on JetStream and follows it to its end; one line for each promise. */
#include <nats/nats.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE 180000 /* milliseconds; other clients use the same workers at the same time */

static bool broken = false;

static void say(const char *what, bool ok, const char *detail) {
    printf("%s  nats.c: %s  %s\n", ok ? "PASS" : "FAIL", what, detail);
    broken = broken || !ok;
}

/* Waits for the end; `told` gets the kinds, without progress. */
static bool follow(natsSubscription *events, char *told, size_t room) {
    natsMsg *msg = NULL;
    bool done = false, over = false;
    told[0] = 0;
    while (!over && natsSubscription_NextMsg(&msg, events, PATIENCE) == NATS_OK) {
        const char *kind = strrchr(natsMsg_GetSubject(msg), '.') + 1;
        done = !strcmp(kind, "done");
        over = done || !strcmp(kind, "failed") || !strcmp(kind, "canceled") || !strcmp(kind, "no-speech");
        if (strcmp(kind, "progress") && strlen(told) + strlen(kind) + 2 < room) {
            strcat(strcat(told, kind), " ");
        }
        natsMsg_Destroy(msg);
    }
    return done;
}

/* Publishes a message about `job` and follows it. */
static natsStatus one(natsConnection *nc, jsCtx *js, const char *what, const char *job, natsMsg *msg) {
    natsSubscription *events = NULL;
    jsPubAck *ack = NULL;
    char text[256];
    snprintf(text, sizeof text, "shanshui.events.%s.>", job);
    natsStatus status = natsConnection_SubscribeSync(&events, nc, text);
    if (status == NATS_OK) status = natsConnection_Flush(nc);
    if (status == NATS_OK) status = js_PublishMsg(&ack, js, msg, NULL, NULL);
    if (status == NATS_OK) {
        bool taken = !strcmp(ack->Stream, "TEXT") && ack->Sequence > 0;
        bool done = follow(events, text, sizeof text);
        say(what, taken && done, text);
    }
    jsPubAck_Destroy(ack);
    natsSubscription_Destroy(events);
    return status;
}

static natsStatus jobs(natsConnection *nc, jsCtx *js, const char *name) {
    natsMsg *msg = NULL;
    char job[96], body[256];
    snprintf(job, sizeof job, "%s-json", name);
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"text\":\"a red apple\",\"picture\":{\"count\":1,\"steps\":1}}", job);
    natsStatus status = natsMsg_Create(&msg, "shanshui.text.default", NULL, body, (int)strlen(body));
    if (status == NATS_OK) status = one(nc, js, "JSON, the name in the payload", job, msg);
    natsMsg_Destroy(msg);
    msg = NULL;
    snprintf(job, sizeof job, "%s-raw", name);
    if (status == NATS_OK) status = natsMsg_Create(&msg, "shanshui.text.default", NULL, "a red apple", 11);
    if (status == NATS_OK) status = natsMsgHeader_Set(msg, "Shanshui-Job", job);
    if (status == NATS_OK) status = one(nc, js, "raw text, the name in the header", job, msg);
    natsMsg_Destroy(msg);
    return status;
}

int main(int argc, char **argv) {
    natsConnection *nc = NULL;
    jsCtx *js = NULL;
    if (argc < 3) return 2;
    natsStatus status = natsConnection_ConnectTo(&nc, argv[1]);
    if (status == NATS_OK) status = natsConnection_JetStream(&js, nc, NULL);
    if (status == NATS_OK) status = jobs(nc, js, argv[2]);
    say("no call fails", status == NATS_OK, natsStatus_GetText(status));
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    nats_Close();
    return broken;
}
