/* credentials.h: who may ask the simulated ERP: WS-Security UsernameToken, or its own AuthToken.
 *
 * Source: OASIS WSS UsernameToken profile 1.0: digest = Base64(SHA-1(nonce + created + password)). Nonces are
 * remembered while their Created would be accepted; an old Created or a nonce seen before is refused. */
#ifndef ERP_SIM_CREDENTIALS_H
#define ERP_SIM_CREDENTIALS_H

#include "tools/sims/erp-sim/soap_request.h"

#define SIM_CREATED_WINDOW_S 300
#define SIM_NONCES_MAX 32768 /* more than 50 a second for SIM_CREATED_WINDOW_S, both sides of now */

typedef struct sim_guard sim_guard_t;

/* With neither user nor token, everybody may ask. The texts must outlive the guard. */
MUST_USE sim_guard_t *sim_guard_new(const char *user, const char *password, const char *token);
void sim_guard_free(sim_guard_t **guard);

MUST_USE bool sim_guard_admit(sim_guard_t *guard, const sim_credentials_t *credentials, int64_t now_wall_us,
                              sim_fault_t *fault);

#endif
