# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: env demo test check bench clean help
help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

env: $(STAMP) ## the virtual environment, from pyproject.toml and constraints.txt

demo: $(STAMP) ## sample media -> analysis -> tables -> HTML report, under demo/
	$(BIN)/mediaml weights pull defaults
	$(BIN)/python -m sample_media.assemble demo/media
	$(BIN)/mediaml analyze demo/media --out demo/lake || test $$? -eq 1 # demo/media/broken holds files that must fail
	$(BIN)/mediaml tables list demo/lake
	$(BIN)/mediaml report demo/lake --out demo/report.html

test: $(STAMP) ## the whole test suite
	$(BIN)/mediaml weights pull packages
	scripts/test

check: $(STAMP) ## ruff, pyright, import-linter
	scripts/check

BENCH := decode decode_by_turns analyze memory audio full_reference asof cold_start kill fuzz codecs detectors shots embedding duplicates \
	vector_index retrieval tags keyframes objects burned_in_text audio_detectors audio_events audio_spans gpu upscale_gpu
bench: $(STAMP) ## the benchmarks, side by side with peers; results are printed (hours on two cores; BENCH="decode gpu" takes some)
	failed=; for subject in $(BENCH); do $(BIN)/python -m benchmarks.$$subject || failed="$$failed $$subject"; done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

clean:
	rm -rf demo
