/* follow.h: brings the tables onto the shelf: all of them at start, page by page, then whatever changed.
 *
 * The shelf is filled by this part alone, also with what this very instance wrote: so every instance sees the same,
 * whichever of them consumed the message. A change is seen after FOLLOW_SOON_MS where this instance made it, else
 * after FOLLOW_EVERY_MS; later while an older transaction of the database cluster is still going on. */
#ifndef EMBED_INDEXER_FOLLOW_H
#define EMBED_INDEXER_FOLLOW_H

#include "services/embed-indexer/app.h"

#define FOLLOW_EVERY_MS 1000
#define FOLLOW_SOON_MS 50

MUST_USE follow_t *follow_new(app_t *app, error_t *err);
void follow_free(follow_t **follow);
void follow_wake(follow_t *follow);            /* there is something new */
void follow_again(follow_t *follow);           /* the space changed: works are read anew */
bool follow_is_loaded(const follow_t *follow); /* all that was there at start is on the shelf */

#endif
