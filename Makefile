# Every target builds and reuses .venv/; constraints.txt pins what goes into it.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform linux \
	--constraints constraints.txt --annotation-style line --custom-compile-command 'make lock'

MNIST := $(if $(DATA_DIR),--data-dir $(DATA_DIR))

LEARNED := $(MNIST) $(if $(HANDS),--hands $(HANDS)) $(if $(STRIPS),--strips $(STRIPS))
CUT := $(if $(STRIPS),--cutter runs/first.onnx)

MINUTES ?= 10

PROCESSES ?= 2

.PHONY: help demo test check fuzz format stubs docs train examples image lock sbom container-check clean
.DELETE_ON_ERROR:

demo: .venv/base  ## set up without torch, serve the shipped model, read the example strips and a form
	$(BIN)/python examples/demo.py

test: .venv/all  ## set up with everything, run every test, in PROCESSES=2 at once
	$(BIN)/python -m pytest -q --numprocesses $(PROCESSES) --dist worksteal

check: .venv/all  ## formatting, lint, types, layers, schema
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto

fuzz: .venv/all  ## damaged images and requests of every kind, for MINUTES=10
	-$(PIP_INSTALL) --group fuzz
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)
	$(BIN)/python -m tests.fuzz.transport --minutes $(MINUTES)

format: .venv/all  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

stubs: .venv/all  ## regenerate service/pb/ from proto/
	$(BIN)/python proto/generate.py .

docs: .venv/all  ## derive the tables of docs/ from the code: settings, options, errors
	$(BIN)/python docs/generate.py

train: .venv/all  ## train both networks (DATA_DIR=, HANDS=, STRIPS= folders) and write them; interrupted, it goes on
	$(BIN)/digitstrip-train fit runs/first --epochs 20 $(LEARNED)
	$(BIN)/digitstrip-train export runs/first runs/first.onnx
	$(BIN)/digitstrip-train fit runs/shipped --init runs/first.onnx --strip-epochs 24 --set lines.scanned=0.22 $(LEARNED) $(CUT)
	$(BIN)/digitstrip-train export runs/shipped service/model.onnx
	$(BIN)/digitstrip-train fit runs/second --network context $(LEARNED) $(CUT)
	$(BIN)/digitstrip-train export runs/second service/second_reader.onnx
	$(BIN)/digitstrip-train quantize service/model.onnx service/model.onnx $(MNIST)
	$(BIN)/digitstrip-train quantize service/second_reader.onnx service/second_reader.onnx $(MNIST)
	$(BIN)/digitstrip-train calibrate service/model.onnx service/model.onnx --second-reader service/second_reader.onnx --made 2400 --pages 0.75 $(if $(STRIPS),--strips $(STRIPS) --held-out --most 1000) $(MNIST)

examples: .venv/all  ## make the example strips and forms again
	$(BIN)/python examples/make_strips.py
	$(BIN)/python examples/make_forms.py

image:  ## build the container image, digitstrip
	docker build --tag digitstrip --build-arg REVISION=$(shell git rev-parse HEAD) .

lock: .venv/all  ## pin the image's packages with their hashes, to deploy/*requirements.txt
	$(LOCK) pyproject.toml --extra web --output-file deploy/requirements.txt
	$(BIN)/python -c "import tomllib; \
	    print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	    | $(LOCK) - --output-file deploy/build-requirements.txt

sbom: .venv/all  ## list what the image is made of; IMAGE=digitstrip adds its Debian packages
	$(BIN)/python deploy/tools/sbom.py out/sbom.cdx.json $(if $(IMAGE),--image $(IMAGE))

container-check: .venv/all  ## build the image and prove it; without an engine, as root on Debian 12
	$(BIN)/python deploy/tools/container_check.py

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/	/'

clean:  ## remove what the targets above made
	rm -rf .venv out

.venv/pip: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Digitstrip needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	touch $@

.venv/base: .venv/pip pyproject.toml constraints.txt
	@echo "Installing the service into .venv/ (once, minutes at most)"
	$(PIP_INSTALL) -e .
	touch $@

.venv/all: .venv/pip pyproject.toml constraints.txt
	@echo "Installing everything into .venv/, training included (once, some minutes)"
	$(PIP_INSTALL) -e '.[training,otel,batch,ray,web]' --group dev
	touch $@ .venv/base
