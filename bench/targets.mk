# The benchmarks' target, included by the Makefile.
QUICK ?=

.PHONY: bench parity
bench: $(INSTALLED) ## measure everything into bench/report.md (QUICK=1: a few minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)

parity: data-named $(INSTALLED) ## hold AP over pixels, encoded bytes, gRPC and HTTP against each other: DATA=folder [RUN=...] [MODEL=...]
	@$(BIN)/python -m bench.parity "$(RUN)" "$(MODEL)" "$(DATA)"
