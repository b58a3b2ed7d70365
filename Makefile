# Each target makes what it needs first: a virtual environment with the versions in constraints.txt, and, where this runs as
# root on Debian or Ubuntu, the system's OpenGL (and Chromium, for the tests). Elsewhere it says in one line what to install.
#
#   make demo PYTHON=python3.12                another interpreter
#   make test TESTFLAGS="-k planners"          pytest options
#   make demo PIPFLAGS="--extra-index-url …"   another source of packages
#
# CUDA: nothing to choose here. constraints.txt pins torch's version and not its build, so pip takes the build that its index
# offers (on Linux that is the CUDA build, a download of gigabytes), and worldmodel uses the GPU that torch sees.
# To get the CPU build, add the CPU index that PyTorch's installation page names to PIPFLAGS.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo longer test numerics lint format results docs clean opengl browser hashes licences sbom audit

VENV ?= .venv
TESTFLAGS ?=
PIPFLAGS ?=
# The first interpreter that is new enough and can be started.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2> /dev/null && echo $$p && break; done)

PY := $(VENV)/bin/python
BIN := $(VENV)/bin

# Tools that look at an installation from outside, in an environment of their own.
SUPPLY := $(VENV)/supply
SUPPLY_TOOLS := uv==0.13.9 pip-licenses==5.5.5 cyclonedx-bom==7.5.0 pip-audit==2.10.1

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
# Build back ends come at their pinned versions too: the first name is what old versions of pip read, the second what new ones do.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed opengl ## collect, train, plan, probe and report, small, on a CPU, in minutes
	@$(BIN)/worldmodel demo

longer: $(VENV)/.installed opengl ## train the full reacher world model, then control the arm with it
	@$(BIN)/worldmodel train env=reacher size=base
	@$(BIN)/worldmodel control run=runs/reacher-base tasks=500
	@$(BIN)/worldmodel report run=runs/reacher-base

test: $(VENV)/.installed-dev opengl browser ## run the tests; options for pytest go in TESTFLAGS
	@$(PY) -m pytest -q -n 2 --dist loadfile $(TESTFLAGS)

# What torch (its own kernels, oneDNN, MKL), OpenBLAS and numpy would choose on a CPU with AVX2 at most, and with SSE.
# `make test` has run this machine's own. Elsewhere than on x86 these names mean nothing and are ignored.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 OPENBLAS_CORETYPE=Haswell \
	NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
SSE := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem \
	NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
INSTRUCTIONS ?= AVX2 SSE
NUMERICS = $(PY) -m pytest -q -n 2 --dist loadfile -m numerics $(TESTFLAGS)

numerics: $(VENV)/.installed-dev opengl ## run the tests that round, with the instructions of other CPUs
	@for set in $(INSTRUCTIONS); do echo $$set; if [ $$set = AVX2 ]; then $(AVX2) $(NUMERICS); else $(SSE) $(NUMERICS); fi; done

lint: $(VENV)/.installed-dev ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --pythonpath $(PY)

results: $(VENV)/.installed ## rewrite docs/RESULTS.md and the README's table from docs/results/*.json
	@$(PY) -m benchmarks.results

docs: $(VENV)/.installed-dev ## build the documentation site, build/site; a warning or a broken link is an error
	@$(PY) -m docs.site

format: $(VENV)/.installed-dev ## rewrite the code in the style that lint checks
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

hashes: $(SUPPLY)/.installed ## rewrite hashes.txt: every package that CI installs with its hashes, but for torch
	@$(SUPPLY)/bin/uv pip compile -q pyproject.toml --extra dev -c constraints.txt --universal --python-version 3.11.5 \
		--generate-hashes --no-header --no-annotate $(UNHASHED:%=--no-emit-package %) -o hashes.txt

licences: $(VENV)/.installed-dev $(SUPPLY)/.installed ## rewrite docs/LICENCES.md: the licences of everything that is installed
	@{ echo "# Licences"; echo; echo "Of what \`make test\` installs, written by \`make licences\`."; echo; \
		$(SUPPLY)/bin/pip-licenses --python $(PY) --from=mixed --format=markdown --ignore-packages worldmodel $(UNHASHED); \
	} > docs/LICENCES.md

sbom: $(VENV)/.installed-dev $(SUPPLY)/.installed ## list what is installed as build/sbom.json, CycloneDX
	@mkdir -p build && $(SUPPLY)/bin/cyclonedx-py environment $(PY) --pyproject pyproject.toml --of JSON -o build/sbom.json

audit: $(VENV)/.installed-dev $(SUPPLY)/.installed ## look for known vulnerabilities in what is installed
	@$(PY) -c "$$AUDIT" $(SUPPLY)/bin/pip-audit --path $$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

clean: ## remove .venv, builds and caches; runs/ and data/ stay
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SUPPLY)/.installed: | $(VENV)/bin/pip
	@$(PY) -m venv $(SUPPLY)
	@PIP_CONSTRAINT= $(SUPPLY)/bin/python -m pip install --progress-bar off $(PIPFLAGS) $(SUPPLY_TOOLS) | $(CALM)
	@touch $@

# torch has a build for every kind of GPU, under one version, and brings what its build needs: these come by version alone.
UNHASHED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

define AUDIT
import json, subprocess, sys
run = subprocess.run([*sys.argv[1:], "-f", "json", "--progress-spinner", "off"], capture_output=True, text=True)
try:
    packages = json.loads(run.stdout)["dependencies"]
except ValueError:
    sys.exit("audit: the database of vulnerabilities cannot be reached, nothing was looked up: " + run.stderr.strip()[-200:])
known = [package for package in packages if "skip_reason" not in package]
found = [f"{p['name']} {p['version']}: {v['id']}" for p in known for v in p["vulns"]]
if not known:
    sys.exit(f"audit: the database of vulnerabilities knows none of {len(packages)} packages, nothing was looked up")
print(*found, f"audit: {len(found)} known vulnerabilities; {len(known)} of {len(packages)} packages are in the database", sep="\n")
sys.exit(bool(found))
endef
export AUDIT

# pip's account of its work in one short line for each package: name-version (size).
PIP_INSTALL = $(PY) -m pip install --progress-bar off $(PIPFLAGS) -c constraints.txt
# From Python 3.13 on, dm-control is installed without what it asks for: labmaze has no wheels there and is not needed.
DM_CONTROL = if $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then \
	$(PIP_INSTALL) --no-deps dm-control | $(CALM); fi
CALM = awk '/^ *(Downloading|Using cached|Processing) .*[.](whl|tar[.]gz)/ && !/[.]metadata/ { \
		sub(/^ *(Downloading|Using cached|Processing) /, ""); sub(/ [(]from .*/, ""); sub(/^[^ ]*[/]/, ""); \
		sub(/-[^- ]*-[^- ]*-[^- ]*[.]whl|[.]tar[.]gz/, ""); print "  " $$0; fflush() } \
	/^ *Installing collected/ { print "  unpacking"; fflush() }'
APT_INSTALL = apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends
CAN_APT = { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; }

$(VENV)/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 to 3.14 is needed and was not found; name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null; then \
		package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		if $(CAN_APT); then echo "Installing $$package"; { $(APT_INSTALL) $$package; } > /dev/null; \
		else echo "$(PYTHON) cannot make virtual environments; install them: sudo apt-get install $$package"; exit 1; fi; \
	fi
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "Installing worldmodel and what it needs into $(VENV), once (minutes on a fresh machine)"
	@$(PIP_INSTALL) -e . | $(CALM)
	@$(DM_CONTROL)
	@touch $@

# In CI every file must have a hash that hashes.txt holds, but for torch.
$(VENV)/.installed-dev: pyproject.toml constraints.txt hashes.txt | $(VENV)/bin/pip
	@echo "Installing worldmodel and its developer tools into $(VENV), once (minutes on a fresh machine)"
	@if [ -n "$${CI:-}" ]; then $(PIP_INSTALL) --require-hashes --no-deps -r hashes.txt | $(CALM); fi
	@$(PIP_INSTALL) -e '.[dev]' | $(CALM)
	@$(DM_CONTROL)
	@touch $(VENV)/.installed $@

# Libraries can be there and a driver missing, so the check is to render a picture.
define RENDER
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    renderer.render()
endef
export RENDER
GL_BACKENDS = $(if $(MUJOCO_GL),$(MUJOCO_GL),$(if $(filter Darwin,$(shell uname)),cgl,egl osmesa))
GL_PACKAGES := libegl1 libgl1-mesa-dri libopengl0

opengl: | $(VENV)/.installed
	@renders() { for gl in $(GL_BACKENDS); do MUJOCO_GL=$$gl $(PY) -c "$$RENDER" > /dev/null 2>&1 && return; done; return 1; }; \
	if renders; then exit 0; fi; \
	if $(CAN_APT); then echo "Installing OpenGL: $(GL_PACKAGES)"; { $(APT_INSTALL) $(GL_PACKAGES); } > /dev/null || true; fi; \
	renders || { echo "OpenGL cannot render off screen (tried: $(GL_BACKENDS)). Install it: sudo apt-get install $(GL_PACKAGES)"; exit 1; }

browser:
	@found() { command -v chromedriver > /dev/null && \
		{ command -v chromium || command -v chromium-browser || command -v google-chrome; } > /dev/null; }; \
	if found; then exit 0; fi; \
	if $(CAN_APT); then echo "Installing chromium and chromium-driver"; { $(APT_INSTALL) chromium chromium-driver; } > /dev/null || true; fi; \
	found || echo "No Chromium, so no browser tests. Install it: sudo apt-get install chromium chromium-driver"
