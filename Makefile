# `make help` says what there is. Times are those of two cores; logic stands in packaging/.

SHELL := /bin/sh
CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup setup-build setup-demo setup-tests web build install run test soak bench clean

help:
	@echo "make run      record: your cameras (hearthkeep.toml) or test cameras into a demo store"
	@echo "              first time about 10 min, nearly all of it compiling; then 10 s"
	@echo "make test     everything that must hold; first time about 40 min, then 30"
	@echo "make soak     for long: 10,000 seeds of the simulator, 400 power cuts, 500 kills, and each fuzz target for 10 min;"
	@echo "              about 6 hours; docs/soak.md says how to have less of each"
	@echo "make build    the programs, into target/release; first time about 8 min"
	@echo "make install  what make build made, below DESTDIR and PREFIX (/usr); packaging/README.md goes on from there"
	@echo "make web      the page, into web-ui/dist; first time about 2 min"
	@echo "make setup    install what is missing of all that is needed; half a second when all is there"
	@echo "make bench    measure; about 8 min once all is built, which takes 15"
	@echo "make clean    remove what was built and the clips"

setup: setup-build setup-demo setup-tests

setup-build setup-demo setup-tests: setup-%:
	@sh packaging/setup.sh $*

web: setup-build
	@sh web-ui/build.sh

build: web
	$(CARGO) build --release --locked -p hearthkeep -p hearthkeep-media

install:
	@sh packaging/install.sh

run:
	@sh packaging/demo.sh

test:
	@sh packaging/test.sh

soak: setup
	@CARGO="$(CARGO)" sh packaging/soak.sh

bench: setup-demo build
	@CARGO="$(CARGO)" sh packaging/bench.sh

clean:
	$(CARGO) clean
	rm -rf .cache web-ui/dist web-ui/node_modules web-ui/src/wasm tests/interop/node_modules
