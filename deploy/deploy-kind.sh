#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deploy-kind.sh - kroc into a cluster on this machine, with one command.
#
#   deploy-kind.sh [--name kroc] [--kroc build/release/kroc]    checks, builds, loads, installs, waits, tries
#   deploy-kind.sh --delete [--name kroc]                       undoes it
#
#   --on kind|k3d|minikube   whose cluster; made if it is not there (kind)
#   --context NAME           a cluster of your own instead: it must be able to pull --image IMAGE
#   --chart                  installs with helm and deploy/helm/kroc; else kubectl and deploy/kustomize/standalone
#
# Every stage either works or ends the script with four lines: what failed, the check of `kroc doctor` that
# it belongs to, why, and the command that mends it; logs, events and descriptions of pods are collected in
# a folder that is named. The script works with a kubeconfig of its own: your current context is neither used
# nor changed. A cluster that is there already is used and never deleted; only one that this script made is.
#
# Settings: KROC_KIND_WAIT_S (180) bounds each wait; KROC_KIND_STATE is where kubeconfig and memory are.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
name=kroc
on=kind
context=
kroc=$root/build/release/kroc
image=localhost/kroc:dev
chart=no
wait_s=${KROC_KIND_WAIT_S:-180}
namespace=kro-system
trial=kroc-example # the namespace of the example
reached=no         # the API server has answered: there is something to collect

say() {
    echo "deploy-kind: $*"
}

# fail ID WHAT WHY MEND: the one way this script gives up.
fail() {
    [ $reached = no ] || collect "$1"
    {
        echo
        echo "deploy-kind: FAILED: $2"
        echo "  doctor: $1"
        echo "$3" | sed '1s/^/  why:  /; 2,$s/^/        /'
        [ -z "${collected:-}" ] || echo "  logs: $collected"
        echo "$4" | sed '1s/^/  mend: /; 2,$s/^/        /'
    } >&2
    exit 1
}

# What somebody who helps would ask for, each as far as it can be had.
collect() {
    collected=$state/failed-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$collected"
    cp "$state/output" "$collected/output.txt" 2>/dev/null || true
    for what in "get pods -A -o wide" "describe pods -n $namespace" "get events -A --sort-by=.lastTimestamp" \
        "describe nodes" "get rgd -o yaml" "get crd" "logs -n $namespace deployment/kroc --tail=2000" \
        "logs -n $namespace deployment/kroc --previous --tail=2000"; do
        # shellcheck disable=SC2086
        kube --request-timeout=10s $what >"$collected/$(echo "$what" | tr -c 'A-Za-z0-9.\n' '-' | tr -s '-').txt" 2>&1 || true
    done
    doctor -o json >"$collected/doctor.json" 2>&1 || true
    echo "$1" >"$collected/id"
}

# The last words of a command, for a "why".
said() {
    tail -n 12 "$state/output" | sed '/^[[:space:]]*$/d'
}

# attempt ID WHAT MEND COMMAND...: runs a command, quietly while it works.
attempt() {
    id=$1
    what=$2
    mend=$3
    shift 3
    say "$what"
    "$@" >"$state/output" 2>&1 && return
    known_cause
    fail "$id" "$what" "$(said)" "$mend"
}

# Causes that are known by their words have a check and a cure of their own.
known_cause() {
    if grep -qiE 'too many open files|inotify' "$state/output"; then
        id=S01
        mend="sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
    elif grep -qi 'no space left' "$state/output"; then
        id=D01
        mend="free disk space, for example: $engine system prune"
    elif grep -qi 'permission denied.*docker.sock' "$state/output"; then
        id=D01
        mend="sudo usermod -aG docker \$USER, then log in again"
    elif grep -qi 'port is already allocated\|address already in use' "$state/output"; then
        id=D01
        mend="another program has the port; see: $engine ps"
    elif grep -qi 'forbidden' "$state/output"; then
        id=R01
        mend="use a kubeconfig with more rights: kubectl auth whoami"
    fi
}

kube() {
    kubectl --kubeconfig "$state/kubeconfig" --context "$(context_name)" "$@"
}

# As somebody would type it, for "mend" lines.
kube_text() {
    echo "kubectl --kubeconfig $state/kubeconfig --context $(context_name) $*"
}

doctor() {
    if [ "$on" = kind ]; then
        set -- --kind "$name" "$@"
    fi
    "$kroc" doctor --kubeconfig "$state/kubeconfig" --context "$(context_name)" "$@"
}

arguments() {
    delete=no
    while [ $# -gt 0 ]; do
        case $1 in
        --name) name=${2:?} && shift 2 ;;
        --kroc) kroc=${2:?} && shift 2 ;;
        --on) on=${2:?} && shift 2 ;;
        --context) context=${2:?} && on=context && shift 2 ;;
        --image) image=${2:?} && shift 2 ;;
        --chart) chart=yes && shift ;;
        --delete) delete=yes && shift ;;
        -h | --help)
            sed -n '3,21s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *)
            echo "deploy-kind: unknown argument \"$1\"; see --help" >&2
            exit 2
            ;;
        esac
    done
    case $on in
    kind | k3d | minikube) ;;
    context) name=$(echo "$context" | tr -c 'A-Za-z0-9\n' '-') ;;
    *)
        echo "deploy-kind: --on is kind, k3d or minikube, not \"$on\"" >&2
        exit 2
        ;;
    esac
    if [ "$on" = context ] && [ "$image" = localhost/kroc:dev ] && [ $delete = no ]; then
        echo "deploy-kind: with --context the cluster pulls the image: push it somewhere and name it by --image" >&2
        exit 2
    fi
    state=${KROC_KIND_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kroc/kind}
    [ "$on" = kind ] || state=$state/$on
    state=$state/$name
    archive=$state/image.tar
    mkdir -p "$state"
}

# --- kinds of clusters ---------------------------------------------------------------------

context_name() {
    case $on in
    kind) echo "kind-$name" ;;
    k3d) echo "k3d-$name" ;;
    minikube) echo "$name" ;;
    context) echo "$context" ;;
    esac
}

cluster_list() {
    case $on in
    kind) kind get clusters ;;
    k3d) k3d cluster list --no-headers ;;
    minikube) minikube profile list -o json ;;
    context) echo "$name" ;;
    esac
}

cluster_exists() {
    case $on in
    kind) grep -qx "$name" "$state/output" ;;
    k3d) grep -qE "^$name[[:space:]]" "$state/output" ;;
    minikube) grep -q "\"Name\":\"$name\"" "$state/output" ;;
    context) true ;;
    esac
}

cluster_create() {
    case $on in
    kind) kind create cluster --name "$name" --kubeconfig "$state/kubeconfig" --wait "${wait_s}s" ;;
    k3d) k3d cluster create "$name" --kubeconfig-update-default=false --wait --timeout "${wait_s}s" ;;
    minikube) KUBECONFIG=$state/kubeconfig minikube start -p "$name" --wait-timeout="${wait_s}s" ;;
    esac
}

cluster_kubeconfig() {
    case $on in
    kind) kind get kubeconfig --name "$name" ;;
    k3d) k3d kubeconfig get "$name" ;;
    minikube)
        KUBECONFIG=$state/minikube minikube update-context -p "$name" >&2 &&
            kubectl --kubeconfig "$state/minikube" config view --minify --flatten --context "$name"
        ;;
    context) kubectl config view --minify --flatten --context "$context" ;;
    esac
}

cluster_load() {
    case $on in
    kind) kind load image-archive "$archive" --name "$name" ;;
    k3d) k3d image import "$archive" -c "$name" ;;
    minikube) minikube -p "$name" image load "$archive" ;;
    esac
}

load_text() {
    case $on in
    kind) echo "kind load image-archive $archive --name $name" ;;
    k3d) echo "k3d image import $archive -c $name" ;;
    minikube) echo "minikube -p $name image load $archive" ;;
    context) echo "push the image that the cluster is to pull, and name it by --image" ;;
    esac
}

cluster_delete() {
    case $on in
    kind) kind delete cluster --name "$name" --kubeconfig "$state/kubeconfig" ;;
    k3d) k3d cluster delete "$name" ;;
    minikube) KUBECONFIG=$state/kubeconfig minikube delete -p "$name" ;;
    esac
}

delete_text() {
    case $on in
    kind) echo "kind delete cluster --name $name" ;;
    k3d) echo "k3d cluster delete $name" ;;
    minikube) echo "minikube delete -p $name" ;;
    esac
}

# --- stages --------------------------------------------------------------------------------

need() {
    command -v "$1" >/dev/null 2>&1 || fail D01 "check the tools" "$1 is not installed, or not in PATH" "$2"
}

need_cluster_tool() {
    case $on in
    kind) need kind "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation" ;;
    k3d) need k3d "install k3d: https://k3d.io/#installation" ;;
    minikube) need minikube "install minikube: https://minikube.sigs.k8s.io/docs/start/" ;;
    esac
}

find_engine() {
    engine=docker
    if [ "$on" = context ]; then
        return
    elif [ -n "${KIND_EXPERIMENTAL_PROVIDER:-}" ]; then
        engine=$KIND_EXPERIMENTAL_PROVIDER
        need "$engine" "install it, or unset KIND_EXPERIMENTAL_PROVIDER"
    elif command -v docker >/dev/null 2>&1; then
        engine=docker
    elif command -v podman >/dev/null 2>&1; then
        engine=podman
        export KIND_EXPERIMENTAL_PROVIDER=podman
    else
        fail D01 "check the tools" "neither docker nor podman is installed, or in PATH" \
            "install one of them: https://docs.docker.com/engine/install/ or https://podman.io"
    fi
    start="podman machine start"
    [ "$engine" = podman ] || start="sudo systemctl start $engine"
    attempt D01 "ask $engine whether it runs" "start it: $start" "$engine" info
}

check_tools() {
    say "check the tools"
    need_cluster_tool
    need kubectl "install kubectl: https://kubernetes.io/docs/tasks/tools/"
    [ $chart = no ] || need helm "install helm: https://helm.sh/docs/intro/install/"
    find_engine
    [ -x "$kroc" ] || fail I01 "find the binary" "$kroc is not there" "make"
}

have_cluster() {
    attempt D01 "ask $on for its clusters" "look at what $on says" cluster_list
    if cluster_exists; then
        say "cluster $name is there"
        [ -e "$state/made" ] || say "it was made by somebody else: it is used and will never be deleted"
    else
        rm -f "$state/made"
        # A broken earlier attempt of ours may have left containers; kind says so, and so does the mend.
        attempt D01 "create the cluster $name (the first time fetches an image of about 1 GB)" \
            "$(delete_text), then try again" cluster_create
        date >"$state/made"
    fi
    rm -f "$state/kubeconfig"
    say "get the cluster's kubeconfig"
    (umask 077 && cluster_kubeconfig >"$state/kubeconfig" 2>"$state/output") ||
        fail D01 "get the cluster's kubeconfig" "$(said)" "$(mend_kubeconfig)"
    attempt K01 "reach the cluster's API server" "$(mend_reach)" kube --request-timeout=20s get --raw /readyz
    reached=yes
}

mend_kubeconfig() {
    if [ "$on" = context ]; then
        echo "kubectl config get-contexts"
    else
        echo "$(delete_text), then try again"
    fi
}

mend_reach() {
    case $on in
    kind) echo "the cluster may be stopped; start it: $engine start $name-control-plane" ;;
    k3d) echo "the cluster may be stopped; start it: k3d cluster start $name" ;;
    minikube) echo "the cluster may be stopped; start it: minikube start -p $name" ;;
    context) echo "kubectl --context $context get --raw /readyz" ;;
    esac
}

# What the doctor finds wrong before anything is installed.
examine() {
    say "ask the doctor"
    for try in 1 2 3; do # a cluster that has just been made may still be busy with itself
        doctor --before-install >"$state/doctor" 2>"$state/output" || true
        grep -q 'no answer' "$state/doctor" || break
        [ $try = 3 ] || sleep 2
    done
    grep '^WARN' "$state/doctor" || true
    # A check that was not answered in time proves nothing of a cluster that answers (K01), only that it is slow.
    grep '^FAIL' "$state/doctor" | grep -v '^FAIL  [^K][^ ]*  no answer\|^FAIL  K0[2-9]  no answer' >"$state/failed" || return 0
    first=$(sed -n 1p "$state/failed")
    id=$(echo "$first" | cut -c7-9)
    fail "$id" "ask the doctor" "$(cut -c7- "$state/failed" | sed 's/ -> .*//')" "${first#* -> }"
}

load_image() {
    [ "$on" != context ] || return 0
    attempt I01 "build the image" "$root/deploy/image.sh --kroc $kroc --out $archive" \
        "$root/deploy/image.sh" --kroc "$kroc" --out "$archive" --name "$image"
    attempt I01 "load the image into the cluster" "$(load_text)" cluster_load
}

manifests() {
    kube kustomize "$root/deploy/kustomize/standalone" | sed "s|image: localhost/kroc:dev|image: $image|"
}

apply_manifests() {
    manifests >"$state/manifests.yaml" && kube apply -f "$state/manifests.yaml"
}

apply_chart() {
    helm --kubeconfig "$state/kubeconfig" --kube-context "$(context_name)" upgrade --install kroc "$root/deploy/helm/kroc" \
        --namespace $namespace --create-namespace --set "image.repository=${image%:*},image.tag=${image##*:}" \
        --set fullnameOverride=kroc,crds.upgrade=false
}

install_all() {
    had=no
    kube -n $namespace get deployment kroc >/dev/null 2>&1 && had=yes
    if [ $chart = yes ]; then
        attempt C01 "bring the CRDs up to date" "$(kube_text apply --server-side --force-conflicts -k "$root/deploy/crds")" \
            kube apply --server-side --force-conflicts -k "$root/deploy/crds"
        attempt R01 "install the chart" "look at what helm says" apply_chart
    else
        attempt C01 "apply CRDs, rights and the Deployment" "$(kube_text apply -k "$root/deploy/kustomize/standalone")" \
            apply_manifests
    fi
    echo "$chart" >"$state/installed"
    attempt C01 "wait until the CRDs are established" "$(kube_text describe crd resourcegraphdefinitions.kro.run)" \
        kube wait --for=condition=Established --timeout="${wait_s}s" \
        crd/resourcegraphdefinitions.kro.run crd/graphrevisions.internal.kro.run
    # The image has a new content under the old name: pods that are there do not notice by themselves.
    [ $had = no ] || attempt I01 "restart the controller with the new image" \
        "$(kube_text -n $namespace rollout restart deployment/kroc)" \
        kube -n $namespace rollout restart deployment/kroc
}

last_event() {
    kube -n $namespace get events --field-selector "$1" -o jsonpath='{.items[-1:].message}' 2>/dev/null || true
}

# Why the controller's pod does not become ready, on three lines: the doctor's id, a "why", a "mend".
pod_trouble() {
    columns='N:.metadata.name,P:.status.phase,W:.status.containerStatuses[*].state.waiting.reason'
    columns=$columns',T:.status.containerStatuses[*].lastState.terminated.exitCode'
    kube -n $namespace get pods -l app.kubernetes.io/component=controller --no-headers \
        -o custom-columns="$columns" >"$state/pods" 2>/dev/null || true
    if ! grep -q . "$state/pods"; then
        echo W02
        echo "there is no pod; $(last_event involvedObject.kind=ReplicaSet)"
        kube_text -n $namespace describe deployment,replicaset
    elif grep -qE 'ErrImageNeverPull|ErrImagePull|ImagePullBackOff|InvalidImageName' "$state/pods"; then
        echo I01
        echo "the node does not have the image $image: $(tr -s ' ' <"$state/pods")"
        load_text
    elif grep -qE 'CrashLoopBackOff|Error|RunContainerError' "$state/pods"; then
        echo I01
        echo "the controller ends: $(kube -n $namespace logs deployment/kroc --tail=3 2>&1 | tr '\n' ' ')"
        kube_text -n $namespace logs deployment/kroc --previous
    elif grep -q 'Pending' "$state/pods"; then
        echo W02
        echo "the pod is not placed: $(last_event reason=FailedScheduling)"
        kube_text describe nodes
    else
        echo N01
        echo "the pod runs and is not ready: $(tr -s ' ' <"$state/pods")"
        kube_text -n $namespace logs deployment/kroc
    fi
}

await_ready() {
    say "wait until the controller is ready"
    kube -n $namespace rollout status deployment/kroc --timeout="${wait_s}s" >"$state/output" 2>&1 && return
    pod_trouble >"$state/trouble"
    fail "$(sed -n 1p "$state/trouble")" "wait until the controller is ready" "$(said)
$(sed -n 2p "$state/trouble")" "$(sed -n '3,$p' "$state/trouble")"
}

# What an object says about itself, for a "why".
says() {
    kube "$@" -o jsonpath='{range .status.conditions[?(@.status!="True")]}{.type}: {.message}{"\n"}{end}' 2>/dev/null || true
}

# A namespace that is on its way out refuses what is new: the one of an earlier --delete may still be.
have_trial_namespace() {
    if [ "$(kube get namespace $trial -o jsonpath='{.status.phase}' 2>/dev/null)" = Terminating ]; then
        attempt C04 "wait until the old namespace $trial is gone" "$(kube_text get namespace $trial -o yaml)" \
            kube wait --for=delete --timeout="${wait_s}s" namespace/$trial
    fi
    kube create namespace $trial >/dev/null 2>&1 || true
}

try_example() {
    have_trial_namespace
    attempt G01 "apply the example's definition" "$(kube_text -n $trial apply -f "$root/examples/webapp/rgd.yaml")" \
        kube -n $trial apply -f "$root/examples/webapp/settings.yaml" -f "$root/examples/webapp/rgd.yaml"
    say "wait until the definition is served"
    kube wait --for=condition=Ready rgd/webapp --timeout="${wait_s}s" >"$state/output" 2>&1 ||
        fail G01 "wait until the definition is served" "$(said)
$(says get rgd webapp)" "$(kube_text -n $namespace logs deployment/kroc)"
    attempt D03 "apply the example's instance" "$(kube_text -n $trial apply -f "$root/examples/webapp/instance.yaml")" \
        kube -n $trial apply -f "$root/examples/webapp/instance.yaml"
    say "wait until the instance is ACTIVE"
    kube -n $trial wait --for=jsonpath='{.status.state}'=ACTIVE webapp/shop --timeout="${wait_s}s" >"$state/output" 2>&1 ||
        fail D03 "wait until the instance is ACTIVE" "$(said)
$(says -n $trial get webapp shop)" "$(kube_text -n $trial describe webapp shop)"
}

undo_text() {
    undo="$0 --delete --name $name"
    [ "$on" = kind ] || undo="$0 --delete --on $on --name $name"
    [ "$on" != context ] || undo="$0 --delete --context $context"
    echo "$undo"
}

finish() {
    kube -n $trial get webapps,deployments,services,configmaps
    made="used, it was there"
    [ ! -e "$state/made" ] || made="made"
    cat <<-END

	kroc runs in the cluster $name. What was done:

	  cluster $name ($on): $made
	  image $image: built and loaded
	  namespace $namespace: the controller, its rights and kro's CRDs
	  namespace $trial: the example, examples/webapp

	To look around:

	  export KUBECONFIG=$state/kubeconfig
	  kubectl -n $trial get webapps,deployments,services,configmaps
	  kubectl -n $trial patch configmap settings --type merge -p '{"data":{"COLOUR":"green"}}'
	  kubectl -n $trial rollout history deployment shop

	To undo it:

	  $(undo_text)
	END
}

# --- the way back --------------------------------------------------------------------------

# kroc's objects from a cluster that stays. CRDs stay where somebody else has definitions: they would go with them.
remove_all() {
    attempt D03 "delete the example" "$(kube_text -n $trial get webapps -o yaml)" \
        kube delete --ignore-not-found --timeout="${wait_s}s" -n $trial -f "$root/examples/webapp/instance.yaml"
    attempt G01 "delete the example's definition" "$(kube_text get rgd webapp -o yaml)" \
        kube delete --ignore-not-found --timeout="${wait_s}s" rgd/webapp
    attempt C04 "delete the example's namespace" "$(kube_text get namespace $trial -o yaml)" \
        kube delete --ignore-not-found --timeout="${wait_s}s" namespace $trial
    if [ "$(cat "$state/installed")" = yes ]; then
        attempt R01 "uninstall the chart" "helm -n $namespace list" \
            helm --kubeconfig "$state/kubeconfig" --kube-context "$(context_name)" --namespace $namespace uninstall kroc
    else
        # The namespace and the CRDs are not among them: others may live there.
        attempt R01 "delete the controller and its rights" "$(kube_text -n $namespace get all)" \
            kube delete --ignore-not-found -f "$root/deploy/kustomize/standalone/rbac.yaml" \
            -f "$root/deploy/kustomize/standalone/deployment.yaml"
    fi
    if [ -n "$(kube get rgd -o name 2>/dev/null)" ]; then
        say "kro's CRDs stay: there are definitions"
    else
        attempt C01 "delete kro's CRDs" "$(kube_text get crd)" kube delete --ignore-not-found -k "$root/deploy/crds"
    fi
    say "the cluster $name stays: this script has not made it"
}

delete_cluster() {
    need_cluster_tool
    engine=docker
    if [ -e "$state/made" ]; then
        attempt D01 "delete the cluster $name" "$(delete_text)" cluster_delete
    elif [ -e "$state/installed" ] && [ -e "$state/kubeconfig" ]; then
        remove_all
    elif [ "$on" = context ]; then
        fail D01 "remove kroc from $context" "this script has installed nothing there" "kubectl -n $namespace get all"
    else
        fail D01 "delete the cluster $name" "this script has not made it" "$(delete_text)"
    fi
    rm -rf "$state"
}

main() {
    arguments "$@"
    : >"$state/output"
    if [ $delete = yes ]; then
        delete_cluster
        exit 0
    fi
    check_tools
    have_cluster
    examine
    load_image
    install_all
    await_ready
    try_example
    finish
}

main "$@"
