/* compiler.h: the few compiler attributes the house uses, in one place. */
#ifndef PROTO_COMPILER_H
#define PROTO_COMPILER_H

/* A status that the caller may not drop. */
#define MUST_USE __attribute__((warn_unused_result))
/* Checks a printf-like function's arguments: `fmt` and `args` are 1-based positions. */
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))
/* The one place where a switch runs on into the next case on purpose. */
#define FALLTHROUGH __attribute__((fallthrough))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
