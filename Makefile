# Makefile: builds, tests and installs mangabus; everything it makes lies below build/.
#
# It works by wildcard: a new file in a known folder is built without an edit here (docs/decisions/0001).
# Variants: make SAN=1 (ASan and UBSan, build/san), SAN=thread (TSan, build/tsan), SAN=fuzz (build/fuzz).

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
SHELL := /bin/bash

SAN ?=
V ?=
PREFIX ?= /usr/local
WERROR ?= 1
OPT ?= -O3
FUZZ_CC ?= clang
MINUTES ?= 60
NPROC := $(shell nproc 2>/dev/null || echo 2)
Q := $(if $(V),,@)

# ---- variant -----------------------------------------------------------------------------------
# In sanitizer builds gcc warns of things that are not so; the plain build is the one that must be silent.
ifeq ($(SAN),)
B := build
VARIANT_FLAGS := $(OPT) $(if $(filter -O0,$(OPT)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) $(if $(filter 1,$(WERROR)),-Werror)
else ifeq ($(SAN),1)
B := build/san
VARIANT_FLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-maybe-uninitialized
VARIANT_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(SAN),thread)
B := build/tsan
VARIANT_FLAGS := -O1 -fsanitize=thread -Wno-maybe-uninitialized -Wno-tsan
VARIANT_LDFLAGS := -fsanitize=thread
else ifeq ($(SAN),fuzz)
B := build/fuzz
VARIANT_FLAGS := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-format-nonliteral
VARIANT_LDFLAGS := -fsanitize=fuzzer,address,undefined
else
$(error SAN is 1, thread or fuzz, not '$(SAN)')
endif
BUILD := $(B)

# ---- compiler ----------------------------------------------------------------------------------
# CCACHE= (empty) turns the cache off.
CCACHE ?= $(shell command -v ccache 2>/dev/null)
ifeq ($(SAN),fuzz)
override CC := $(strip $(CCACHE) $(FUZZ_CC))
else
ifeq ($(origin CC),default)
CC := gcc
endif
override CC := $(strip $(if $(findstring ccache,$(CC)),,$(CCACHE)) $(CC))
endif
AR := ar

# msgpack-c calls itself `msgpack` in Debian 12 and `msgpack-c` in Debian 13.
MSGPACK := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PACKAGES := libzmq libczmq libxml-2.0 libpq libcurl libcrypto libmicrohttpd $(MSGPACK)
MISSING := $(shell command -v pkg-config >/dev/null 2>&1 || echo pkg-config) \
           $(shell for p in $(PACKAGES); do pkg-config --exists $$p 2>/dev/null || echo $$p; done)
isystem = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(1) 2>/dev/null))
PACKAGE_CFLAGS := $(call isystem,$(PACKAGES))
PACKAGE_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lgnutls -lunistring -lm -lpthread
CMOCKA_CFLAGS := $(call isystem,cmocka)
CMOCKA_LIBS := $(shell pkg-config --libs cmocka 2>/dev/null || echo -lcmocka)

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
BASE_FLAGS := -std=gnu17 -g -fno-omit-frame-pointer -fstack-protector-strong -D_GNU_SOURCE -I. -I$(B) $(WARNINGS)
ALL_CFLAGS = $(BASE_FLAGS) $(VARIANT_FLAGS) $(PACKAGE_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -Wl,-z,relro,-z,now -Wl,--as-needed $(VARIANT_LDFLAGS) $(LDFLAGS)

# ---- what there is -----------------------------------------------------------------------------
SERVICES := $(patsubst services/%/,%,$(dir $(wildcard services/*/main.c)))
SIMS := $(patsubst tools/sims/%/,%,$(dir $(wildcard tools/sims/*/main.c)))
SERVICE_DIRS := $(sort $(patsubst services/%/,%,$(dir $(wildcard services/*/*.c))))
SIM_DIRS := $(sort $(patsubst tools/sims/%/,%,$(dir $(wildcard tools/sims/*/*.c))))

LIBS :=
PROGRAMS :=
OBJECTS :=
objects = $(patsubst %.c,$(B)/obj/%.o,$(1))
# $(call library,NAME,SOURCES): build/lib/libNAME.a, when there is a source.
define library
ifneq ($(2),)
sources_$(1) := $(2)
LIBS += $(B)/lib/lib$(1).a
OBJECTS += $(call objects,$(2))
$(B)/lib/lib$(1).a: $(call objects,$(2)) $(B)/sources/$(1)
endif
endef
# $(call program,NAME,FOLDER,LIBRARIES): build/bin/NAME from FOLDER/main.c and the libraries that exist.
define program
ifneq ($(wildcard $(2)/main.c),)
PROGRAMS += $(B)/bin/$(1)
OBJECTS += $(B)/obj/$(2)/main.o
$(B)/bin/$(1): $(B)/obj/$(2)/main.o $$(filter $(3:%=$(B)/lib/lib%.a),$$(LIBS))
endif
endef
folder = $(filter-out $(1)/main.c,$(sort $(wildcard $(1)/*.c)))

$(foreach l,proto kit,$(eval $(call library,$(l),$(call folder,$(l)))))
$(foreach l,core rules journal,$(eval $(call library,$(l),$(call folder,broker/$(l)))))
$(eval $(call library,broker-front,$(call folder,broker)))
$(eval $(call library,mangactl,$(call folder,tools/mangactl)))
$(foreach s,$(SERVICE_DIRS),$(eval $(call library,svc-$(s),$(call folder,services/$(s)))))
$(foreach s,$(SIM_DIRS),$(eval $(call library,sim-$(s),$(call folder,tools/sims/$(s)))))
$(eval $(call library,testing,$(filter-out tests/lib/output.c,$(call folder,tests/lib))))
$(eval $(call library,simulator,$(filter-out tests/sim/test_%,$(call folder,tests/sim))))
$(eval $(call library,benching,$(filter tests/bench/lib_%,$(call folder,tests/bench))))

# What a program may link is what its floor allows (DESIGN: proto < kit < broker, services, tools).
$(eval $(call program,mangabus-broker,broker,broker-front core rules journal kit proto))
$(eval $(call program,mangactl,tools/mangactl,mangactl rules journal kit proto))
$(foreach s,$(SERVICES),$(eval $(call program,$(s),services/$(s),svc-$(s) kit proto)))
$(foreach s,$(SIMS),$(eval $(call program,$(s),tools/sims/$(s),sim-$(s) kit proto)))

# ---- tests, fuzz targets and benchmarks ---------------------------------------------------------
# A test in tests/unit/DIR links, besides the house, the library of the program DIR.
HOUSE := testing proto kit core rules journal
TEST_SOURCES := $(sort $(wildcard tests/unit/test_*.c tests/unit/*/test_*.c tests/sim/test_*.c))
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SOURCES := $(sort $(wildcard tests/bench/bench_*.c))
test_binary = $(patsubst tests/%.c,$(B)/tests/%,$(subst tests/unit/,tests/,$(1)))
fuzz_binary = $(1:tests/fuzz/%.c=build/fuzz/%)
bench_binary = $(1:tests/bench/%.c=$(B)/bench/%)
TESTS := $(call test_binary,$(TEST_SOURCES))
# Small programs that tests in Python talk to: tests/helpers/X.c -> build/tests/helpers/X.
HELPER_SOURCES := $(sort $(wildcard tests/helpers/*.c))
HELPERS := $(HELPER_SOURCES:tests/helpers/%.c=$(B)/tests/helpers/%)
FUZZERS := $(call fuzz_binary,$(FUZZ_SOURCES))
BENCHES := $(call bench_binary,$(BENCH_SOURCES))

extra_libraries = svc-$(1) sim-$(1) $(if $(filter sim,$(1)),simulator broker-front) $(if $(filter mangactl,$(1)),mangactl) $(if $(filter broker front broker-front,$(1)),broker-front)
# $(call linked,BINARY,SOURCE,LIBRARIES)
define linked
$(1): $(B)/obj/$(2:.c=.o) $$(filter $(3:%=$(B)/lib/lib%.a),$$(LIBS))
OBJECTS += $(B)/obj/$(2:.c=.o)
endef
folder_of = $(notdir $(patsubst %/,%,$(dir $(1))))
test_libraries = $(HOUSE) $(call extra_libraries,$(call folder_of,$(1)))
# output.o acts by being linked, so it cannot come from a library.
ifneq ($(TESTS),)
$(TESTS): $(B)/obj/tests/lib/output.o
OBJECTS += $(B)/obj/tests/lib/output.o
endif
$(foreach s,$(TEST_SOURCES),$(eval $(call linked,$(call test_binary,$(s)),$(s),$(call test_libraries,$(s)))))
$(foreach s,$(HELPER_SOURCES),$(eval $(call linked,$(s:tests/%.c=$(B)/tests/%),$(s),$(HOUSE))))
$(foreach s,$(BENCH_SOURCES),$(eval $(call linked,$(call bench_binary,$(s)),$(s),benching $(HOUSE) broker-front)))
# Compiled, though not linked, with the tests: a changed header must not break a fuzz target unnoticed.
FUZZ_OBJECTS := $(call objects,$(FUZZ_SOURCES))
$(FUZZ_OBJECTS): ALL_CFLAGS += -Wno-unused-result # gcc minds the casts to void that clang takes
ifneq ($(SAN),fuzz)
OBJECTS += $(FUZZ_OBJECTS)
endif
ifeq ($(SAN),fuzz)
EVERY_LIBRARY := $(HOUSE) broker-front mangactl $(SERVICE_DIRS:%=svc-%) $(SIM_DIRS:%=sim-%)
$(foreach s,$(FUZZ_SOURCES),$(eval $(call linked,$(call fuzz_binary,$(s)),$(s),$(EVERY_LIBRARY))))
endif
OBJECTS := $(sort $(OBJECTS))

# ---- how -----------------------------------------------------------------------------------------
.PHONY: all
all: $(PROGRAMS) $(LIBS) ## build every program and library (default)

say = @printf '  %-8s %s\n' '$(1)' '$(2)'

.PHONY: prerequisites
prerequisites:
ifneq ($(strip $(MISSING)),)
	@echo "Missing to build: $(strip $(MISSING)). Run: tools/install-deps build" >&2; exit 1
endif

$(B)/obj/%.o: %.c $(B)/flags | prerequisites $(B)/gen/version.h
	@mkdir -p $(@D)
	$(if $(V),,$(call say,CC,$<))
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter tests/%,$<),$(CMOCKA_CFLAGS)) -MMD -MP -c -o $@ $<

# Made from nothing each time, so that a removed source leaves no object behind.
$(B)/lib/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(if $(V),,$(call say,AR,$@))
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

LINK = $(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group

$(PROGRAMS):
	@mkdir -p $(@D)
	$(if $(V),,$(call say,LINK,$@))
	$(Q)$(LINK) $(PACKAGE_LIBS)

$(TESTS) $(HELPERS) $(BENCHES):
	@mkdir -p $(@D)
	$(if $(V),,$(call say,LINK,$@))
	$(Q)$(LINK) $(CMOCKA_LIBS) $(PACKAGE_LIBS)

ifeq ($(SAN),fuzz)
$(FUZZERS):
	@mkdir -p $(@D)
	$(if $(V),,$(call say,LINK,$@))
	$(Q)$(LINK) $(PACKAGE_LIBS)
endif

# Files that change only when their text does: the flags, each library's list of sources, the version.
.PHONY: FORCE
FORCE:
quote = '$(subst ','\'',$(1))'
keep = @mkdir -p $(@D); text=$(call quote,$(1)); \
    [ -f $@ ] && [ "$$text" = "$$(cat $@)" ] || printf '%s\n' "$$text" >$@
$(B)/flags: FORCE
	$(call keep,$(filter-out %ccache,$(CC)) $(ALL_CFLAGS))
$(B)/sources/%: FORCE
	$(call keep,$(sources_$*))

# MANGABUS_VERSION from the environment, else what git says, else the file VERSION.
VERSION_TEXT = $(or $(MANGABUS_VERSION),$(shell git describe --tags --always --dirty 2>/dev/null),$(shell cat VERSION 2>/dev/null),unknown)
$(B)/gen/version.h: FORCE
	$(call keep,#define MANGABUS_VERSION "$(VERSION_TEXT)" /* made by make */)

-include $(OBJECTS:.o=.d)

# ---- checks --------------------------------------------------------------------------------------
# A sub-make, because pkg-config is asked anew after packages were installed, and to use every processor.
parallel = $(if $(findstring j,$(filter-out --%,$(firstword -$(MAKEFLAGS)) $(filter -j%,$(MAKEFLAGS)))),,-j$(NPROC))
again = +$(MAKE) $(parallel) SAN=$(SAN)
RUN_TESTS = MANGABUS_BUILD=$(CURDIR)/$(B) MANGABUS_BIN=$(CURDIR)/$(B)/bin tests/run

.PHONY: test-binaries fuzz-binaries bench-binaries
test-binaries: $(TESTS) $(HELPERS) $(FUZZ_OBJECTS)
fuzz-binaries: $(FUZZERS)
bench-binaries: $(BENCHES)

.PHONY: test check-fast test-long soak test-compose
check-fast: all test-binaries ## build all, run the unit tests only
	@$(RUN_TESTS) fast

test: ## install what is missing, build, run every test but the long ones
	@tools/install-deps build test
	$(again) all test-binaries
	@$(RUN_TESTS) test

test-long: ## the long tests, the tests under sanitizers, the fuzzers (FUZZ_SECONDS= each)
	@tools/install-deps build test fuzz
	$(again) all test-binaries
	$(again) SAN=1 all test-binaries
	$(again) SAN=thread test-binaries
	$(again) SAN=fuzz fuzz-binaries
	@$(RUN_TESTS) long

soak: ## the black-box tests over and over for MINUTES= (60)
	@tools/install-deps build test
	$(again) all test-binaries
	@MINUTES=$(MINUTES) $(RUN_TESTS) soak

test-compose: ## build the images, start the composition, prove it (needs a container engine)
	@tests/compose/run

.PHONY: lint format
lint: ## formatting, static analysis, floors, shell and Python scripts
	@tools/install-deps lint
	@CC="$(CC)" CCACHE="$(CCACHE)" tools/lint/run

.PHONY: docs
docs: $(B)/tests/test_docs $(PROGRAMS) ## write what documents take from the code: tables, docs/configuration.md
	MANGABUS_DOCS=write $<
	tools/docs-configuration $(B)/bin

format: ## format every C file in place
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs -r clang-format -i

.PHONY: bench fuzz-build fuzz
bench: all bench-binaries ## run the benchmarks, peers too where they are installed (docs/benchmarks.md)
	@MANGABUS_BUILD=$(CURDIR)/$(B) MANGABUS_BIN=$(CURDIR)/$(B)/bin tests/bench/run

fuzz-build: ## build the fuzz targets (clang, ASan, UBSan) into build/fuzz
	$(again) SAN=fuzz fuzz-binaries

fuzz: fuzz-build ## run each fuzz target for FUZZ_SECONDS=
	@$(RUN_TESTS) fuzz

# ---- use -----------------------------------------------------------------------------------------
.PHONY: demo down install clean help compile_commands.json
demo: ## install what is missing, build, start everything on this machine, ask a question
	@tools/install-deps build demo
	$(again) all
	@tools/demo up

down: ## stop what make demo started
	@tools/demo down

.PHONY: man
man: $(B)/man/mangactl.1 $(B)/completion/mangactl.bash ## write the manual page and the shells' completions

$(B)/man/mangactl.1: $(B)/bin/mangactl
	@mkdir -p $(@D)
	$(Q)$< --man > $@.new && mv $@.new $@

$(B)/completion/mangactl.bash: $(B)/bin/mangactl
	@mkdir -p $(@D)
	$(Q)$< completion zsh > $(@D)/_mangactl && $< completion fish > $(@D)/mangactl.fish && $< completion bash > $@

install: all man ## install programs and data (DESTDIR=, PREFIX=/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/mangabus $(DESTDIR)$(PREFIX)/share/doc/mangabus
	$(if $(PROGRAMS),install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin)
	$(if $(wildcard broker/*.json),install -m 644 $(wildcard broker/*.json) $(DESTDIR)$(PREFIX)/share/mangabus)
	$(if $(wildcard proto/schema/*.json),install -d $(DESTDIR)$(PREFIX)/share/mangabus/schema)
	$(if $(wildcard proto/schema/*.json),install -m 644 $(wildcard proto/schema/*.json) $(DESTDIR)$(PREFIX)/share/mangabus/schema)
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 $(B)/man/mangactl.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(B)/completion/mangactl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mangactl
	install -m 644 $(B)/completion/_mangactl $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 644 $(B)/completion/mangactl.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 LICENSE $(wildcard README.md CHANGELOG.md) $(DESTDIR)$(PREFIX)/share/doc/mangabus

# One entry for each object; a flag with a double quote in it is not expected.
compile_commands.json: ## write the compilation database that editors and clang tools read
	@{ echo '['; for object in $(OBJECTS); do \
	source=$${object#$(B)/obj/}; source=$${source%.o}.c; \
	printf '%s{"directory": "%s", "file": "%s", "command": "%s"}\n' "$$comma" '$(CURDIR)' "$$source" \
	"$(filter-out %ccache,$(CC)) $(ALL_CFLAGS) $(CMOCKA_CFLAGS) -c $$source"; comma=,; done; echo ']'; } >$@

clean: ## remove everything that was built
	rm -rf build compile_commands.json

help: ## show this
	@awk -F ':.*## ' '/^[a-z_.-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "  Variants: SAN=1 (ASan, UBSan), SAN=thread (TSan); V=1 shows commands; WERROR=0 lets warnings pass."
