# The benchmarks' target, included by the Makefile.
QUICK ?=

.PHONY: bench
bench: $(INSTALLED) ## measure everything into bench/report.md (QUICK=1: a few minutes)
	@$(BIN)/python -m bench $(if $(QUICK),--quick)
