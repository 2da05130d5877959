.DEFAULT_GOAL := help
.PHONY: help build test test-clients fosite-suite lint cover bench pg docs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the commands into bin/
	go build -o bin/ ./cmd/...

test: ## every check and test; installs and starts what it needs
	@scripts/test

test-clients: ## the tests with published clients and a browser alone
	@scripts/with-clients go test -count=1 -v -run 'TestPublishedClients|TestJWTsOfPublishedVerifiers|TestBrowser' ./test

fosite-suite: ## fosite's own integration tests on our store, on both engines
	@scripts/with-postgres scripts/fosite-suite

lint: ## gofmt, go vet and staticcheck
	@scripts/lint

cover: ## tests with coverage into coverage.out, and the total
	@scripts/with-postgres go test -coverpkg=./... -coverprofile=coverage.out ./...
	@go tool cover -func=coverage.out | tail -n 1

bench: ## Go benchmarks with allocation counts
	@scripts/with-postgres go test -run '^$$' -bench . -benchmem ./...

pg: ## a shell beside a throw-away PostgreSQL (any command: scripts/with-postgres COMMAND)
	@scripts/with-postgres $${SHELL:-/bin/bash}

docs: ## rewrite the generated parts of docs/
	go test ./config -run TestTheDocument -update
