/* cmd_top.c: the broker as it works, redrawn on a terminal until q. */
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "proto/msgpack.h"
#include "tools/mangactl/top.h"
#include "tools/mangactl/verbs.h"

#define INTERVAL_MS 2000
#define ONCE_INTERVAL_MS 1000
#define INTERVAL_MIN_MS 100
#define ENTER "\033[?1049h\033[?25l" /* the other screen, without cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define TO_LINE_END "\033[K"
#define TO_SCREEN_END "\033[J"

typedef struct {
    ctl_t *ctl;
    top_sample_t now, before;
    bool has_before;
    top_view_t view;
    bool is_screen, quit, turned; /* turned: a key changed the view */
    struct termios saved;
    loop_watch_t *keys;
    int64_t interval_ms;
} top_t;

/* -- asking -------------------------------------------------------------------------------------------- */
static bool sample(top_t *top, int *code)
{
    top_sample_t next = {0};
    error_t err = {0};
    ctl_t *ctl = top->ctl;
    bool ok = ctl_ask(ctl, WIRE_BROKER, "status", "", BYTES_NONE, BYTES_NONE, &next.status, code) &&
              ctl_ask(ctl, WIRE_QUEUE, "list", "", BYTES_NONE, BYTES_NONE, &next.queues, code) &&
              ctl_ask(ctl, WIRE_BROKER, "sessions", "", BYTES_NONE, BYTES_NONE, &next.sessions, code);
    if (ok && !top_read(&next, top->now.rows ? &top->now : NULL, &err)) {
        *code = ctl_fail(ctl, &err);
        ok = false;
    }
    if (!ok) {
        top_free(&next);
        return false;
    }
    top_free(&top->before);
    top->has_before = top->now.rows != NULL;
    top->before = top->now;
    top->now = next;
    return true;
}

/* -- the terminal -------------------------------------------------------------------------------------- */
static void on_key(void *ctx, int events)
{
    (void)events;
    top_t *top = ctx;
    char keys[32];
    ssize_t got = read(STDIN_FILENO, keys, sizeof keys);
    top->quit |= got <= 0;
    for (ssize_t i = 0; i < got; i++)
        switch (keys[i]) {
        case 'q':
        case 'Q':
            top->quit = true;
            break;
        case 'a':
            top->view.all = !top->view.all;
            break;
        case 's':
            top->view.sessions = !top->view.sessions;
            break;
        case 'r':
            top->view.order = TOP_BY_RATE;
            break;
        case 'd':
            top->view.order = TOP_BY_DEPTH;
            break;
        case 'o':
            top->view.order = TOP_BY_AGE;
            break;
        case 'n':
            top->view.order = TOP_BY_NAME;
            break;
        default:
            continue;
        }
    top->turned = true;
    ctl_done(top->ctl);
}

static bool screen_begin(top_t *top)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &top->saved) != 0)
        return false;
    raw = top->saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C still is a signal */
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
        return false;
    top->is_screen = true;
    fputs(ENTER, top->ctl->out);
    top->keys = loop_watch_fd(top->ctl->loop, STDIN_FILENO, LOOP_READ, on_key, top);
    return top->keys != NULL;
}

static void screen_end(top_t *top)
{
    if (top->keys)
        loop_watch_end(&top->keys);
    if (!top->is_screen)
        return;
    fputs(LEAVE, top->ctl->out);
    fflush(top->ctl->out);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &top->saved);
}

static void size_read(top_view_t *view)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    view->columns = size.ws_col;
    view->lines = size.ws_row;
}

/* Over what is there, and without the last newline, which would scroll. */
static void screen_draw(top_t *top)
{
    buf_t text = {0};
    size_read(&top->view);
    top_draw(&top->now, top->has_before ? &top->before : NULL, &top->view, &text);
    fputs(HOME, top->ctl->out);
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\n')
            fputc(text.data[i], top->ctl->out);
        else
            fputs(i + 1 < text.len ? TO_LINE_END "\n" : TO_LINE_END, top->ctl->out);
    fputs(TO_SCREEN_END, top->ctl->out);
    fflush(top->ctl->out);
    buf_free(&text);
}

/* -- one picture --------------------------------------------------------------------------------------- */
static int print(top_t *top)
{
    const top_sample_t *before = top->has_before ? &top->before : NULL;
    buf_t out = {0};
    int code = CTL_OK;
    top_sort(&top->now, top->view.order);
    if (top->ctl->json) {
        top_put(&top->now, before, &out);
        code = ctl_print_json(top->ctl, buf_bytes(&out), JSON_COMPACT);
        fflush(top->ctl->out);
    } else if (top->is_screen) {
        screen_draw(top);
    } else {
        top_draw(&top->now, before, &top->view, &out);
        fputs(buf_cstr(&out), top->ctl->out);
    }
    buf_free(&out);
    return code;
}

/* Until the interval is over; keys change the view at once. */
static int rest(top_t *top)
{
    int code = CTL_OK;
    ctl_limit(top->ctl, top->interval_ms);
    do {
        top->turned = false;
        ctl_wait(top->ctl);
        if (top->turned && !top->quit)
            code = print(top);
    } while (!top->ctl->timed_out && !top->ctl->interrupted && !top->quit && code == CTL_OK);
    top->ctl->timed_out = false;
    return code;
}

static int run_once(top_t *top)
{
    int code = CTL_OK;
    if (!sample(top, &code))
        return code;
    ctl_limit(top->ctl, top->interval_ms);
    ctl_wait(top->ctl);
    top->ctl->timed_out = false;
    if (top->ctl->interrupted)
        return CTL_TRY_AGAIN;
    return sample(top, &code) ? print(top) : code;
}

static int run_on(top_t *top)
{
    int code = CTL_OK;
    while (code == CTL_OK && !top->quit && !top->ctl->interrupted && sample(top, &code)) {
        code = print(top);
        if (code == CTL_OK)
            code = rest(top);
    }
    return top->ctl->interrupted ? CTL_OK : code;
}

/* -- options ------------------------------------------------------------------------------------------- */
static bool order_read(const char *text, top_order_t *out)
{
    static const char *const names[] = {
        [TOP_BY_RATE] = "rate", [TOP_BY_DEPTH] = "depth", [TOP_BY_AGE] = "oldest", [TOP_BY_NAME] = "name"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (top_order_t)i;
            return true;
        }
    return false;
}

static int run(ctl_t *ctl, const args_t *args)
{
    bool is_terminal = isatty(STDIN_FILENO) && isatty(fileno(ctl->out));
    bool once = args_given(args, "once") || (!ctl->json && !is_terminal);
    top_t top = {.ctl = ctl,
                 .interval_ms = args_number(args, "interval", once ? ONCE_INTERVAL_MS : INTERVAL_MS),
                 .view = {.all = args_given(args, "all"),
                          .sessions = args_given(args, "sessions"),
                          .bold = ctl_bold(ctl),
                          .dim = ctl_dim(ctl),
                          .plain = ctl_plain(ctl)}};
    int code = CTL_OK;
    if (!order_read(args_text(args, "order", "rate"), &top.view.order))
        return ctl_complain(ctl, CTL_USAGE, "--order is rate, depth, oldest or name");
    if (top.interval_ms < INTERVAL_MIN_MS)
        return ctl_complain(ctl, CTL_USAGE, "--interval is at least %dms", INTERVAL_MIN_MS);
    if (!ctl_connect(ctl, &code))
        return code;
    if (once)
        code = run_once(&top);
    else if (ctl->json || screen_begin(&top))
        code = run_on(&top);
    else
        code = ctl_complain(ctl, CTL_BUG, "this terminal cannot be set");
    screen_end(&top);
    top_free(&top.now);
    top_free(&top.before);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"once", ARG_FLAG, NULL, "one picture, over one interval; so too where there is no terminal"},
    {"interval", ARG_DURATION, "TIME", "between two pictures (2s; with --once 1s)"},
    {"order", ARG_TEXT, "WHAT", "queues by rate, depth, oldest or name (rate)"},
    {"all", ARG_FLAG, NULL, "queues too in which nothing is and nothing moves"},
    {"sessions", ARG_FLAG, NULL, "the sessions instead of the queues"},
};

static const char *const EXAMPLES[] = {
    "mangactl top",
    "mangactl top --once --order depth --all",
    "mangactl top --once --interval 500ms --json",
    NULL,
};

const command_t command_top = {
    .name = "top",
    .arguments = "",
    .summary = "watch the broker work: queues, rates, ages, sessions",
    .about = "Keys: q quits, a shows all queues, s the sessions, r d o n order by rate, depth, oldest, name.\n"
             "With --json a line for each interval.",
    .options = CTL_OPTIONS(OPTIONS),
    .examples = EXAMPLES,
    .run = run,
};
