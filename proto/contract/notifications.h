/* notifications.h: results and alerts for people and callbacks, on the bus MangaAssist-AI-Events. */
#ifndef PROTO_CONTRACT_NOTIFICATIONS_H
#define PROTO_CONTRACT_NOTIFICATIONS_H

#include "proto/contract/ai.h"

#define NOTIFICATIONS_SOURCE "mangaassist.notifications"
#define NOTIFICATIONS_RESULTS "results"
#define NOTIFICATIONS_ALERTS "alerts"
#define NOTIFICATIONS_TOPIC_RESULTS "manga-fm-results"
#define NOTIFICATIONS_TOPIC_ALERTS "manga-fm-alerts"
#define NOTIFICATIONS_TOPIC_GENERAL "MangaAssist-Notifications"

/* clang-format off: one row, one member */

#define NOTIFICATION_ROWS(X, T)                                                                                        \
    X(T, topic, "topic", STR, REQ, LEN(1, 256),                                                                        \
      "manga-fm-results, manga-fm-alerts, MangaAssist-Notifications or another")                                       \
    X(T, subject, "subject", STR, REQ, LEN(1, 400), "one line; 100 characters where it becomes an SNS subject")        \
    X(T, message, "message", STR, OPT, LEN(0, 65536), "for people")                                                    \
    X(T, data, "data", MAP, OPT, COUNT(0, 256),                                                                        \
      "for programs: a job's summary; queue, depth and threshold of an alert")                                         \
    X(T, job_id, "job_id", STR, OPT, LEN(1, CONTRACT_ID_BYTES), "whose result it is")                                  \
    X(T, severity, "severity", STR, OPT, ENUM("info", "warning", "critical"), "of an alert; absent: info")             \
    X(T, timestamp, "timestamp", STR, REQ, FORMAT(RFC3339), "when")

#define NOTIFICATIONS_SCHEMAS(S) S(notification, NOTIFICATION_ROWS, "detail", "something that someone wants to be told")

#define NOTIFICATIONS_EVENTS(E)                                                                                        \
    E(AI_BUS, NOTIFICATIONS_SOURCE, NOTIFICATIONS_RESULTS, notification,                                               \
      "work is done; the documents' SNS topic of results")                                                             \
    E(AI_BUS, NOTIFICATIONS_SOURCE, NOTIFICATIONS_ALERTS, notification,                                                \
      "someone should look; the documents' SNS topic of alerts")

/* clang-format on */

NOTIFICATIONS_SCHEMAS(SCHEMA_DECLARE)

#endif
