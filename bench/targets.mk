# The benchmarks' target, included by the Makefile.
QUICK ?=

.PHONY: bench parity
bench: $(INSTALLED) ## measure everything into bench/report.md and bench/model_server.md (QUICK=1: a few minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)
	@$(BIN)/python -m bench.model_server $(if $(QUICK),--rounds 3)

parity: data-named $(INSTALLED) ## hold AP over pixels, encoded bytes, gRPC and HTTP against each other: DATA=folder [RUN=...] [MODEL=...]
	@$(BIN)/python -m bench.parity "$(RUN)" "$(MODEL)" "$(DATA)"
