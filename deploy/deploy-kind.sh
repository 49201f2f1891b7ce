#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deploy-kind.sh - kroc into a kind cluster, with one command.
#
#   deploy-kind.sh [--name kroc] [--kroc build/release/kroc]    checks, builds, loads, applies, waits, tries
#   deploy-kind.sh --delete [--name kroc]                       deletes the cluster, if this script made it
#
# Every stage either works or ends the script with three lines: what failed, why, and the command that
# mends it. The cluster has a kubeconfig of its own (its path is printed at the end): your kubeconfig and
# your current context are neither read nor changed. A cluster of that name that is there already is used
# and never deleted; only one that this script made is.
#
# Settings: KROC_KIND_WAIT_S (180) bounds each wait; KROC_KIND_STATE is where kubeconfig and memory are.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
name=kroc
kroc=$root/build/release/kroc
image=localhost/kroc:dev
wait_s=${KROC_KIND_WAIT_S:-180}
namespace=kro-system
trial=kroc-example # the namespace of the example

say() {
    echo "deploy-kind: $*"
}

# fail WHAT WHY MEND: the one way this script gives up.
fail() {
    {
        echo
        echo "deploy-kind: FAILED: $1"
        echo "$2" | sed '1s/^/  why:  /; 2,$s/^/        /'
        echo "$3" | sed '1s/^/  mend: /; 2,$s/^/        /'
    } >&2
    exit 1
}

# The last words of a command, for a "why".
said() {
    tail -n 12 "$state/output" | sed '/^[[:space:]]*$/d'
}

# attempt WHAT MEND COMMAND...: runs a command, quietly while it works.
attempt() {
    what=$1
    mend=$2
    shift 2
    say "$what"
    "$@" >"$state/output" 2>&1 || fail "$what" "$(said)" "$(mend_of "$mend")"
}

# Causes that are known by their words get a better cure than the stage's own.
mend_of() {
    if grep -qiE 'too many open files|inotify' "$state/output"; then
        echo "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512"
    elif grep -qi 'no space left' "$state/output"; then
        echo "free disk space, for example: $engine system prune"
    elif grep -qi 'permission denied.*docker.sock' "$state/output"; then
        echo "sudo usermod -aG docker \$USER, then log in again"
    elif grep -qi 'port is already allocated\|address already in use' "$state/output"; then
        echo "another program has the port; see: $engine ps"
    else
        echo "$1"
    fi
}

kube() {
    kubectl --kubeconfig "$state/kubeconfig" --context "kind-$name" "$@"
}

# As somebody would type it, for "mend" lines.
kube_text() {
    echo "kubectl --kubeconfig $state/kubeconfig --context kind-$name $*"
}

arguments() {
    delete=no
    while [ $# -gt 0 ]; do
        case $1 in
        --name) name=${2:?} && shift 2 ;;
        --kroc) kroc=${2:?} && shift 2 ;;
        --delete) delete=yes && shift ;;
        -h | --help)
            sed -n '3,14s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        *)
            echo "deploy-kind: unknown argument \"$1\"; see --help" >&2
            exit 2
            ;;
        esac
    done
    state=${KROC_KIND_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/kroc/kind}/$name
    archive=$state/image.tar
    mkdir -p "$state"
}

# --- stages -------------------------------------------------------------------

need() {
    command -v "$1" >/dev/null 2>&1 || fail "check the tools" "$1 is not installed, or not in PATH" "$2"
}

check_tools() {
    say "check the tools"
    need kind "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    need kubectl "install kubectl: https://kubernetes.io/docs/tasks/tools/"
    if [ -n "${KIND_EXPERIMENTAL_PROVIDER:-}" ]; then
        engine=$KIND_EXPERIMENTAL_PROVIDER
        need "$engine" "install it, or unset KIND_EXPERIMENTAL_PROVIDER"
    elif command -v docker >/dev/null 2>&1; then
        engine=docker
    elif command -v podman >/dev/null 2>&1; then
        engine=podman
        export KIND_EXPERIMENTAL_PROVIDER=podman
    else
        fail "check the tools" "neither docker nor podman is installed, or in PATH" \
            "install one of them: https://docs.docker.com/engine/install/ or https://podman.io"
    fi
    start="podman machine start"
    [ "$engine" = podman ] || start="sudo systemctl start $engine"
    attempt "ask $engine whether it runs" "start it: $start" "$engine" info
    [ -x "$kroc" ] || fail "find the binary" "$kroc is not there" "make"
}

cluster_exists() {
    kind get clusters 2>"$state/output" | grep -qx "$name"
}

have_cluster() {
    attempt "ask kind for its clusters" "kind get clusters" kind get clusters
    if cluster_exists; then
        say "cluster $name is there"
        [ -e "$state/made" ] || say "it was made by somebody else: it is used and will never be deleted"
    else
        rm -f "$state/made"
        # A broken earlier attempt of ours may have left containers; kind says so, and so does the mend.
        attempt "create the cluster $name (the first time fetches an image of about 1 GB)" \
            "kind delete cluster --name $name, then try again" \
            kind create cluster --name "$name" --kubeconfig "$state/kubeconfig" --wait "${wait_s}s"
        date >"$state/made"
    fi
    rm -f "$state/kubeconfig"
    say "get the cluster's kubeconfig"
    (umask 077 && kind get kubeconfig --name "$name" >"$state/kubeconfig" 2>"$state/output") ||
        fail "get the cluster's kubeconfig" "$(said)" "kind delete cluster --name $name, then try again"
    attempt "reach the cluster's API server" \
        "the cluster may be stopped; start it: $engine start $name-control-plane" \
        kube --request-timeout=20s get --raw /readyz
}

load_image() {
    attempt "build the image" "$root/deploy/image.sh --kroc $kroc --out $archive" \
        "$root/deploy/image.sh" --kroc "$kroc" --out "$archive" --name "$image"
    attempt "load the image into the cluster" "kind load image-archive $archive --name $name" \
        kind load image-archive "$archive" --name "$name"
}

apply() {
    had=no
    kube -n $namespace get deployment kroc >/dev/null 2>&1 && had=yes
    attempt "apply CRDs, rights and the Deployment" "$(kube_text apply -k "$root/deploy/kustomize/standalone")" \
        kube apply -k "$root/deploy/kustomize/standalone"
    attempt "wait until the CRDs are established" "$(kube_text describe crd resourcegraphdefinitions.kro.run)" \
        kube wait --for=condition=Established --timeout="${wait_s}s" \
        crd/resourcegraphdefinitions.kro.run crd/graphrevisions.internal.kro.run
    # The image has a new content under the old name: pods that are there do not notice by themselves.
    [ $had = no ] || attempt "restart the controller with the new image" \
        "$(kube_text -n $namespace rollout restart deployment/kroc)" \
        kube -n $namespace rollout restart deployment/kroc
}

last_event() {
    kube -n $namespace get events --field-selector "$1" -o jsonpath='{.items[-1:].message}' 2>/dev/null || true
}

# Why the controller's pod does not become ready, in its own words: one "why" and one "mend" on two lines.
pod_trouble() {
    columns='N:.metadata.name,P:.status.phase,W:.status.containerStatuses[*].state.waiting.reason'
    columns=$columns',T:.status.containerStatuses[*].lastState.terminated.exitCode'
    kube -n $namespace get pods -l app.kubernetes.io/component=controller --no-headers \
        -o custom-columns="$columns" >"$state/pods" 2>/dev/null || true
    if ! grep -q . "$state/pods"; then
        echo "there is no pod; $(last_event involvedObject.kind=ReplicaSet)"
        kube_text -n $namespace describe deployment,replicaset
    elif grep -qE 'ErrImageNeverPull|ErrImagePull|ImagePullBackOff|InvalidImageName' "$state/pods"; then
        echo "the node does not have the image $image: $(tr -s ' ' <"$state/pods")"
        echo "kind load image-archive $archive --name $name"
    elif grep -qE 'CrashLoopBackOff|Error|RunContainerError' "$state/pods"; then
        echo "the controller ends: $(kube -n $namespace logs deployment/kroc --tail=3 2>&1 | tr '\n' ' ')"
        kube_text -n $namespace logs deployment/kroc --previous
    elif grep -q 'Pending' "$state/pods"; then
        echo "the pod is not placed: $(last_event reason=FailedScheduling)"
        kube_text describe nodes
    else
        echo "the pod runs and is not ready: $(tr -s ' ' <"$state/pods")"
        kube_text -n $namespace logs deployment/kroc
    fi
}

await_ready() {
    say "wait until the controller is ready"
    kube -n $namespace rollout status deployment/kroc --timeout="${wait_s}s" >"$state/output" 2>&1 && return
    pod_trouble >"$state/trouble"
    fail "wait until the controller is ready" "$(said)
$(sed -n 1p "$state/trouble")" "$(sed -n '2,$p' "$state/trouble")"
}

# What an object says about itself, for a "why".
says() {
    kube "$@" -o jsonpath='{range .status.conditions[?(@.status!="True")]}{.type}: {.message}{"\n"}{end}' 2>/dev/null || true
}

try_example() {
    kube create namespace $trial >/dev/null 2>&1 || true
    attempt "apply the example's definition" "$(kube_text -n $trial apply -f "$root/examples/webapp/rgd.yaml")" \
        kube -n $trial apply -f "$root/examples/webapp/settings.yaml" -f "$root/examples/webapp/rgd.yaml"
    say "wait until the definition is served"
    kube wait --for=condition=Ready rgd/webapp --timeout="${wait_s}s" >"$state/output" 2>&1 ||
        fail "wait until the definition is served" "$(said)
$(says get rgd webapp)" "$(kube_text -n $namespace logs deployment/kroc)"
    attempt "apply the example's instance" "$(kube_text -n $trial apply -f "$root/examples/webapp/instance.yaml")" \
        kube -n $trial apply -f "$root/examples/webapp/instance.yaml"
    say "wait until the instance is ACTIVE"
    kube -n $trial wait --for=jsonpath='{.status.state}'=ACTIVE webapp/shop --timeout="${wait_s}s" >"$state/output" 2>&1 ||
        fail "wait until the instance is ACTIVE" "$(said)
$(says -n $trial get webapp shop)" "$(kube_text -n $trial describe webapp shop)"
}

finish() {
    kube -n $trial get webapps,deployments,services,configmaps
    cat <<-END

	kroc runs in the cluster $name. To look around:

	  export KUBECONFIG=$state/kubeconfig
	  kubectl -n $trial get webapps,deployments,services,configmaps
	  kubectl -n $trial patch configmap settings --type merge -p '{"data":{"COLOUR":"green"}}'
	  kubectl -n $trial rollout history deployment shop
	END
    [ ! -e "$state/made" ] || echo "  $0 --delete --name $name"
}

delete_cluster() {
    command -v kind >/dev/null 2>&1 || fail "delete the cluster" "kind is not installed, or not in PATH" \
        "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    [ -e "$state/made" ] || fail "delete the cluster $name" "this script has not made it" \
        "kind delete cluster --name $name"
    engine=docker
    attempt "delete the cluster $name" "kind delete cluster --name $name" \
        kind delete cluster --name "$name" --kubeconfig "$state/kubeconfig"
    rm -rf "$state"
}

main() {
    arguments "$@"
    if [ $delete = yes ]; then
        delete_cluster
        exit 0
    fi
    check_tools
    have_cluster
    load_image
    apply
    await_ready
    try_example
    finish
}

main "$@"
