# make demo and make test are all that a visitor needs: Go, and pip or npm.
# Tests that compare with the Python packages of ONNX need Python 3.11 or newer with pip.

PYTHON ?= python3
FASHION_MNIST ?= /usr/share/datasets/fashion-mnist
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

GOFUMPT := go run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The last release that Go 1.26 builds from what the module proxy serves.
GORELEASER_VERSION := v2.16.0
GORELEASER := build/tools/goreleaser
ORT_HEADER_MODULE := github.com/yalue/onnxruntime_go@v1.27.0

TOOL := build/onnx-compress
VENV := .venv/made
AXE := build/browser/made
HAVE_NPM := $(shell command -v npm 2>/dev/null)
HAVE_PYTHON := $(shell $(PYTHON) -c 'import pip, sys; print(1 if sys.version_info >= (3, 11) else "")' 2>/dev/null)

# The program is free of cgo; only the race detector needs it.
export CGO_ENABLED = 0
# As wheels and releases are built. What is compiled then holds for clones in other folders too, which several tests make.
export GOFLAGS ?= -trimpath

.PHONY: all build setup venv test doors onnxgo k8s scale kills race fuzz lint cross demo screenshots bench generate train wheels snapshot clean

all: build

build:
	go build -o build/ ./cmd/onnx-compress

setup:
	go run ./cmd/onnx-compress setup

venv: $(VENV)

# A virtual environment without pip of its own: Debian's Python has no ensurepip.
define venv
rm -rf $(1)
$(PYTHON) -m venv --without-pip $(1)
$(PYTHON) -m pip --python $(1)/bin/python install --quiet --disable-pip-version-check $(2)
touch $(1)/made
endef

$(VENV): requirements/test.txt
	$(call venv,.venv,--require-hashes --requirement $<)

build/train/made: requirements/train.txt
	$(call venv,build/train,--requirement $<)

build/bench/made: requirements/bench.txt
	$(call venv,build/bench,--requirement $<)

build/doors/made: requirements/doors.txt
	$(call venv,build/doors,--requirement $<)

# What checks pages in a browser. The browser itself is the system's, as Debian's package chromium.
$(AXE): requirements/browser/package.json requirements/browser/package-lock.json
	rm -rf $(@D)
	mkdir -p $(@D)
	cp $^ $(@D)
	npm ci --prefix $(@D) --silent --no-audit --no-fund
	touch $@

# The tests with other programs, of which each that is skipped and each block of the documents that
# is left out is named with its reason.
define integration
mkdir -p build; echo "go test -v ./integration > build/integration.log"; \
ONNX_COMPRESS_REQUIRE=$(HAVE_PYTHON) go test -v -timeout 60m ./integration >build/integration.log 2>&1; status=$$?; \
if [ $$status != 0 ]; then cat build/integration.log; fi; \
grep -B1 -e '--- SKIP' -e ': left out: ' build/integration.log | grep -v -e '^=== ' -e '^--$$' -e '--- PASS'; \
tail -n 1 build/integration.log; exit $$status
endef

# With Python and pip everything is there, so that a test that misses something fails.
test: setup $(if $(HAVE_PYTHON),$(VENV)) $(if $(HAVE_NPM),$(AXE))
	@$(if $(HAVE_PYTHON),:,echo "No Python 3.11 with pip as $(PYTHON): tests that need it are skipped.")
	@$(if $(HAVE_NPM),:,echo "No npm: pages are not checked in a browser.")
	ONNX_COMPRESS_REQUIRE=$(HAVE_PYTHON) go test -timeout 30m $$(go list ./... | grep -v /integration)
	@$(integration)

# The Python package with torch, Jupyter, Olive and optimum themselves, which are gigabytes: the tests say so and skip without them.
doors: setup build build/doors/made
	cd python && PATH="$(CURDIR)/build:$$PATH" PYTHONPATH="$(CURDIR)/python" OLIVE_DISABLE_TELEMETRY=1 \
		../build/doors/bin/python -m unittest -v tests.test_torch tests.test_notebook tests.test_olive tests.test_optimum

# The written models in runtimes that are Go alone, in a module of its own: its runtimes are no dependencies of the program.
onnxgo: setup
	cd integration/onnxgo && ONNX_COMPRESS_REQUIRE=1 go test ./... && go vet ./...

# The Jobs that scale prints, decoded strictly as Kubernetes' own types, in a module of its own, and their commands run.
k8s: setup build
	cd integration/k8s && PATH="$(CURDIR)/build:$$PATH" go test ./... && go vet ./...

# What scale prints, done by Make, Slurm and Ray on this machine, as far as they are there.
scale: setup build
	PATH="$(CURDIR)/build:$$PATH" sh scripts/scale.sh testmodels/data/fashion_resnet.onnx testmodels/data/fashion.bin \
		--methods svd --target macs=0.5 --calib-samples 256 --batch 4

# The program is killed at random moments, and runs on disks that are too small; as a part of the other tests, a dozen times.
KILLS ?= 200
kills: setup
	ONNX_COMPRESS_KILLS=$(KILLS) go test -v -count 1 -timeout 60m -run 'TestKills|TestFullDisk' ./cmd/onnx-compress

# The packages that share memory with C or work on several threads: whole where their tests are
# quick, else the tests that look at this by their names. Needs a C compiler.
CONCURRENT := Threads|Concurrent|Goroutines|Cancel|Interrupted|SameBytes|Progress
race: setup
	CGO_ENABLED=1 go test -race ./internal/calib ./internal/feed ./internal/ordered ./internal/ort/... \
		./internal/provenance ./verify
	CGO_ENABLED=1 go test -race -run '$(CONCURRENT)' -timeout 20m \
		./compress ./internal/refit ./internal/tune ./linalg ./onnxio

# Every fuzz target in turn; as many side by side as there are processors.
FUZZ_TIME ?= 10m
fuzz:
	go run ./scripts/fuzz -time $(FUZZ_TIME)

# Known vulnerabilities in what the program calls. They are in a database on the network.
define vulnerabilities
echo "$(GOVULNCHECK) ./..."; out=$$($(GOVULNCHECK) ./... 2>&1) || case "$$out" in \
*"govulncheck: fetching vulnerabilities: "*) \
	echo "SKIPPED: govulncheck: the database cannot be reached:$$(echo "$$out" | sed -n 's/.*fetching vulnerabilities:.*:\( [^:]*\)$$/\1/p')";; \
*) echo "$$out"; exit 1;; esac
endef

lint:
	@echo "gofumpt"; out=$$($(GOFUMPT) -l .) && if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	@$(vulnerabilities)

# Builds everything for every platform, and compiles the tests for every system but Linux, which lint has done: files differ by
# system, and by no processor.
cross:
	@set -e; vetted=linux; for p in $(PLATFORMS); do \
		echo "build for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} go build ./...; \
		case " $$vetted " in *" $${p%/*} "*) continue;; esac; \
		echo "vet for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} go vet ./...; \
		vetted="$$vetted $${p%/*}"; \
	done

# Halves the multiply-adds of the trained network: 512 images calibrate, 1,000 others judge.
demo: setup build
	$(TOOL) testmodels/data/fashion_resnet.onnx -o build/fashion_small.onnx --force \
		--calib testmodels/data/fashion.bin --calib-samples 512 --target macs=0.5

# The pictures in docs/ of the pages about the demo network's result and sizes, in build/ those of a phone. Needs Chromium.
screenshots: setup build
	$(TOOL) testmodels/data/fashion_resnet.onnx -o build/fashion_small.onnx --force \
		--calib testmodels/data/fashion.bin --calib-samples 512 --target macs=0.5 --report build/fashion.html
	go run ./scripts/screenshots build/fashion.html docs/report
	$(TOOL) explore testmodels/data/fashion_resnet.onnx --calib testmodels/data/fashion.bin --calib-samples 512 --methods svd,spatial --report build/sizes.html -q
	PHONE=1 go run ./scripts/screenshots 'build/sizes.html#choice-4' build/sizes
	cp build/sizes-light.png docs/sizes.png

# Go benchmarks; with BENCH_DATA=DIR (models/ and data/) the whole-model results as well.
bench: setup $(if $(BENCH_DATA),build/bench/made)
	go test -run '^$$' -bench . ./...
ifdef BENCH_DATA
	go run ./bench -data $(BENCH_DATA) -python build/bench/bin/python
endif

generate:
	ONNXRUNTIME_C_API_H="$$(go mod download -json $(ORT_HEADER_MODULE) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/onnxruntime_c_api.h" \
		go generate ./...

# Trains the demo network anew. The images come with Debian's package dataset-fashion-mnist.
train: build/train/made
	@test -d $(FASHION_MNIST) || { echo "No images in $(FASHION_MNIST): apt-get install dataset-fashion-mnist, or set FASHION_MNIST."; exit 1; }
	build/train/bin/python testmodels/train/train.py --data $(FASHION_MNIST) --out testmodels/data

# The Python wheels, with the program in them: build/dist/*.whl.
wheels:
	@set -e; for p in $(PLATFORMS); do $(PYTHON) scripts/wheel.py --goos $${p%/*} --goarch $${p#*/} --out build/dist; done

# Takes minutes to build, once.
$(GORELEASER):
	GOBIN=$(abspath $(@D)) go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)

# The archives of a release, for every platform: build/packages.
snapshot: $(GORELEASER)
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean

clean:
	rm -rf build .venv
