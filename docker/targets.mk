# Targets that ship: `include docker/targets.mk` in the Makefile.
ENGINE ?= $(shell command -v docker || command -v podman)
ENGINE_FLAGS ?=
COMPOSE ?= $(ENGINE) compose
VERSION ?= 0.1.0
# TensorFlow Serving is built for x86-64 alone; elsewhere the local model server takes its place.
PROFILE ?= $(if $(filter x86_64 amd64,$(shell uname -m)),$(if $(filter Linux,$(shell uname -s)),cpu,local),local)
OVERLAY ?=
OVERLAYS := $(notdir $(wildcard k8s/overlays/*))
BUILD = $(ENGINE) build $(ENGINE_FLAGS)

.PHONY: images up manifests deploy need-engine need-kubectl

images: need-engine ## build the container images (ENGINE=docker|podman, IMAGES="gateway batch ...")
	@for image in $(IMAGES); do $(MAKE) --no-print-directory image-$$image || exit 1; done

IMAGES ?= gateway tf-serving tf-serving-gpu model-server model-sync training batch batch-ray
.PHONY: $(addprefix image-,$(IMAGES))
image-gateway: ; $(BUILD) -f docker/gateway/Dockerfile -t sightline/gateway:$(VERSION) .
image-tf-serving: ; $(BUILD) -f docker/tf-serving/Dockerfile --target cpu -t sightline/tf-serving:$(VERSION) .
image-tf-serving-gpu: ; $(BUILD) -f docker/tf-serving/Dockerfile --target gpu -t sightline/tf-serving:$(VERSION)-gpu .
image-model-server: ; $(BUILD) -f docker/model-server/Dockerfile --target model-server -t sightline/model-server:$(VERSION) .
image-model-sync: ; $(BUILD) -f docker/model-server/Dockerfile --target model-sync -t sightline/model-sync:$(VERSION) .
image-training: ; $(BUILD) -f docker/training/Dockerfile -t sightline/training:$(VERSION) .
image-batch: ; $(BUILD) -f docker/batch/Dockerfile --target batch -t sightline/batch:$(VERSION) .
image-batch-ray: ; $(BUILD) -f docker/batch/Dockerfile --target ray -t sightline/batch:$(VERSION)-ray .

up: need-engine ## serve, monitor and show on this machine (PROFILE=cpu|gpu|local, MODELS=folder)
	@models=$${MODELS:-build/demo/models}; ls $$models/droids/*/saved_model.pb >/dev/null 2>&1 \
	  || { echo "No model at $$models/droids/<version>. Make one with \`make demo ONCE=1\`, or name your folder: make up MODELS=/path" >&2; exit 1; }
	@$(COMPOSE) version >/dev/null 2>&1 \
	  || { echo "\`$(COMPOSE)\` does not work here: install Docker's compose plugin, or name another: make up COMPOSE=podman-compose" >&2; exit 1; }
	MODELS=$$(realpath $${MODELS:-build/demo/models}) $(COMPOSE) -f docker/compose.yaml --profile $(PROFILE) up --build

manifests: need-kubectl $(INSTALLED) ## build and check the Kubernetes manifests into build/manifests
	@$(BIN)/python k8s/prometheus_rules.py
	@mkdir -p build/manifests
	@for overlay in $(OVERLAYS); do \
	  kubectl kustomize k8s/overlays/$$overlay > build/manifests/$$overlay.yaml && echo "build/manifests/$$overlay.yaml" || exit 1; done
	@$(BIN)/python -m pytest -q -m "not slow" tests/deploy/test_schemas.py tests/deploy/test_manifest*.py

deploy: need-kubectl ## apply an overlay to the cluster that kubectl points to (OVERLAY=local|production-gpu)
	@test -n "$(OVERLAY)" && test -d "k8s/overlays/$(OVERLAY)" \
	  || { echo "Name an overlay: make deploy OVERLAY=<one of: $(OVERLAYS)>" >&2; exit 1; }
	@kubectl version --request-timeout=10s >/dev/null 2>&1 \
	  || { echo "kubectl reaches no cluster. Look at \`kubectl config current-context\` and \`kubectl cluster-info\`; docs/deploy.md begins with a local one." >&2; exit 1; }
	kubectl apply -k k8s/overlays/$(OVERLAY)
	kubectl -n sightline rollout status deployment/tf-serving deployment/gateway --timeout=15m

need-engine:
	@test -n "$(ENGINE)" && $(ENGINE) info >/dev/null 2>&1 \
	  || { echo "No container engine works here. Install Docker (https://docs.docker.com/engine/install) or podman, and start it; or name it: make ENGINE=podman ..." >&2; exit 1; }

need-kubectl:
	@kubectl kustomize --help >/dev/null 2>&1 \
	  || { echo "kubectl is not installed: https://kubernetes.io/docs/tasks/tools" >&2; exit 1; }
