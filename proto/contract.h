/* contract.h: all events, calls and queue messages at once; see proto/schema.h for what comes of them. */
#ifndef PROTO_CONTRACT_H
#define PROTO_CONTRACT_H

#include "proto/contract/ai.h"
#include "proto/contract/calls_catalog.h"
#include "proto/contract/calls_chat.h"
#include "proto/contract/calls_erp.h"
#include "proto/contract/calls_fm.h"
#include "proto/contract/calls_search.h"
#include "proto/contract/catalog.h"
#include "proto/contract/common.h"
#include "proto/contract/dvss.h"
#include "proto/contract/inventory.h"
#include "proto/contract/notifications.h"
#include "proto/contract/orders.h"
#include "proto/contract/payments.h"
#include "proto/contract/reviews.h"

#endif
