# SPDX-License-Identifier: Apache-2.0
"""Cases of value_diff.py: workloads, Services, claims, Ingresses and what goes with them, right and wrong."""
NS = "namespaces/default/"


def of(group, kind, plural, spec=None, name="w", **members):
    api = f"/apis/{group}/" if "/" in group else f"/api/{group}/"
    body = {"apiVersion": group, "kind": kind, "metadata": {"name": name}}
    if spec is not None:
        body["spec"] = spec
    return api + ("" if kind.startswith("Cluster") else NS) + plural, dict(body, **members)


def container(**members):
    return {k: v for k, v in dict({"name": "c", "image": "i"}, **members).items() if v is not None}


def pod(*containers, **spec):
    return of("v1", "Pod", "pods", dict({"containers": [dict(c) for c in containers] or [container()]}, **spec))


def with_env(*env):
    return pod(container(env=list(env)))


def with_ports(*ports):
    return pod(container(ports=list(ports)))


def with_mounts(*mounts):
    return pod(container(volumeMounts=list(mounts)), volumes=[{"name": "v", "emptyDir": {}}])


def with_volumes(*volumes):
    return pod(volumes=list(volumes))


def with_probe(name="readinessProbe", **probe):
    return pod(container(**{name: probe}))


def deployment(pod_spec=None, **spec):
    full = {"metadata": {"labels": {"a": "b"}}, "spec": dict({"containers": [container()]}, **(pod_spec or {}))}
    return of("apps/v1", "Deployment", "deployments", dict({"selector": {"matchLabels": {"a": "b"}}, "template": full}, **spec))


def service(*ports, name="w", **spec):
    return of("v1", "Service", "services", dict({"ports": [dict({"port": 80}, **p) for p in ports] or [{"port": 80}]}, **spec), name)


def claim(**spec):
    return of("v1", "PersistentVolumeClaim", "persistentvolumeclaims", spec)


def ingress(*paths, **rule):
    return of("networking.k8s.io/v1", "Ingress", "ingresses", {"rules": [dict({"http": {"paths": list(paths)}}, **rule)]})


def path(backend=None, **members):
    return dict({"path": "/", "pathType": "Prefix", "backend": backend or {"service": {"name": "s", "port": {"number": 80}}}}, **members)


def job(kind="Job", **spec):
    template = {"spec": {"containers": [container()], "restartPolicy": "Never"}}
    if kind == "Job":
        return of("batch/v1", "Job", "jobs", dict({"template": template}, **spec))
    return of("batch/v1", "CronJob", "cronjobs", dict({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}}, **spec))


def scaler(**spec):
    return of("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers",
              dict({"scaleTargetRef": {"kind": "Deployment", "name": "w", "apiVersion": "apps/v1"}, "maxReplicas": 3}, **spec))


def like(kind, **spec):
    """A workload of another kind."""
    body = deployment(**spec)[1]
    return f"/apis/apps/v1/{NS}{kind.lower()}s", dict(body, kind=kind)


def stateful(**spec):
    return like("StatefulSet", **spec)


def cluster_role(**members):
    return of("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", **members)


def binding(**members):
    return of("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", **members)


def role(rule):
    return of("rbac.authorization.k8s.io/v1", "Role", "roles", rules=[rule])


def policy(**spec):
    return of("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", dict({"podSelector": {}}, **spec))


def budget(**spec):
    return of("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", spec)


GET = {"httpGet": {"port": 80}}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "n"}
STORAGE = {"requests": {"storage": "1Gi"}}
TEMPLATES = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": STORAGE}}]
MOUNTED = {"containers": [container(volumeMounts=[{"name": "data", "mountPath": "/d"}])]}
# What people write, all of it right.
FULL = pod(container(
    ports=[{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "metrics", "protocol": "TCP"}],
    env=[{"name": "A", "value": "$(B)"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
         {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password", "optional": True}}},
         {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}],
    envFrom=[{"configMapRef": {"name": "m"}, "prefix": "P_"}],
    resources={"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
    volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "a/b"}, {"name": "s", "mountPath": "/s", "readOnly": True}],
    livenessProbe=dict(GET, periodSeconds=5), readinessProbe={"tcpSocket": {"port": "http"}}, startupProbe={"exec": {"command": ["true"]}},
    lifecycle={"preStop": {"sleep": {"seconds": 1}}},
    securityContext={"runAsUser": 1000, "runAsNonRoot": True}), initContainers=[container(name="i")],
    volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "s", "projected": {"sources": [{"secret": {"name": "s"}}]}}],
    tolerations=[{"operator": "Exists"}, {"key": "a", "effect": "NoExecute", "tolerationSeconds": 5}], nodeSelector={"kubernetes.io/os": "linux"},
    topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}],
    serviceAccountName="sa")
CASES = [
    FULL, deployment({"containers": FULL[1]["spec"]["containers"], "volumes": FULL[1]["spec"]["volumes"]}),
    # containers
    *[pod(container(name=n)) for n in ("A b", "x" * 64, "", "-a")], pod(container(), container()), pod(initContainers=[container()]),
    pod(initContainers=[container(name="i")]), pod(container(image=" i")), pod(container(image=None)),
    pod(container(imagePullPolicy="Sometimes")), pod(container(terminationMessagePolicy="X")), pod(container(name=None)),
    # ports
    with_ports({}), with_ports({"containerPort": 0}), with_ports({"containerPort": 70000}), with_ports({"containerPort": 80, "name": "UP"}),
    with_ports({"containerPort": 80, "name": "x" * 16}), with_ports({"containerPort": 80, "name": "1"}),
    with_ports({"containerPort": 80, "name": "a--b"}), with_ports({"containerPort": 80, "name": "-a"}),
    with_ports({"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}), with_ports({"containerPort": 80, "protocol": "X"}),
    with_ports({"containerPort": 80, "hostPort": 70000}),
    # environment
    with_env({"name": ""}), with_env({"value": "x"}), with_env({"name": "a b", "value": "x"}), with_env({"name": "a=b", "value": "x"}),
    with_env({"name": "ok.-", "value": ""}), with_env({"name": "A", "valueFrom": {}}),
    with_env({"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    with_env({"name": "A", "valueFrom": {"fieldRef": {}}}),
    with_env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}),
    with_env({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m"}}}),
    with_env({"name": "A", "valueFrom": {"configMapKeyRef": {"key": "k"}}}),
    with_env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "m", "key": "a/b"}}}),
    with_env({"name": "A", "valueFrom": {"secretKeyRef": {"name": "m", "key": "k"}, "configMapKeyRef": {"name": "m", "key": "k"}}}),
    with_env({"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.nope"}}}), pod(container(envFrom=[{}])),
    pod(container(envFrom=[{"configMapRef": {}}])), pod(container(envFrom=[{"secretRef": {"name": "s"}, "configMapRef": {"name": "s"}}])),
    pod(container(envFrom=[{"secretRef": {"name": "s"}, "prefix": "a b"}])), pod(container(envFrom=[{"secretRef": {"name": ""}}])),
    # mounts and volumes
    with_mounts({"name": "v", "mountPath": "/a"}), with_mounts({"name": "w", "mountPath": "/a"}), with_mounts({"name": "v"}),
    with_mounts({"mountPath": "/a"}), with_mounts({"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}),
    with_mounts({"name": "v", "mountPath": "/a", "subPath": "../x"}), with_mounts({"name": "v", "mountPath": "/a", "subPath": "/x"}),
    with_mounts({"name": "v", "mountPath": "/a", "subPath": "x", "subPathExpr": "y"}),
    with_mounts({"name": "v", "mountPath": "/a", "mountPropagation": "X"}), with_volumes({"name": "v"}), with_volumes({"emptyDir": {}}),
    with_volumes({"name": "A b", "emptyDir": {}}), with_volumes({"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}),
    with_volumes({"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}), with_volumes({"name": "v", "configMap": {}}),
    with_volumes({"name": "v", "secret": {}}), with_volumes({"name": "v", "persistentVolumeClaim": {}}),
    with_volumes({"name": "v", "hostPath": {}}), with_volumes({"name": "v", "hostPath": {"path": "/a/../b"}}),
    with_volumes({"name": "v", "hostPath": {"path": "/a", "type": "X"}}),
    with_volumes({"name": "v", "configMap": {"name": "m", "defaultMode": 9999}}),
    with_volumes({"name": "v", "secret": {"secretName": "s", "defaultMode": -1}}),
    with_volumes({"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "../x"}]}}),
    with_volumes({"name": "v", "configMap": {"name": "m", "items": [{"key": "k"}]}}),
    with_volumes({"name": "v", "secret": {"secretName": "s", "items": [{"path": "p"}]}}),
    with_volumes({"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "/p", "mode": 9999}]}}),
    with_volumes({"name": "v", "projected": {"sources": []}}),
    with_volumes({"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}]}}),
    # resources
    pod(container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})), pod(container(resources={"requests": {"cpu": "-1"}})),
    pod(container(resources={"limits": {"foo": "1"}})),
    pod(container(resources={"limits": {"x.io/foo": "1"}, "requests": {"x.io/foo": "2"}})),
    pod(container(resources={"limits": {"x.io/foo": "500m"}})),
    pod(container(resources={"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}})),
    pod(container(resources={"requests": {"x.io/foo": "1"}})), pod(container(resources={"requests": {"storage": "1"}})),
    # probes
    with_probe(), with_probe(**GET), with_probe(**GET, exec={"command": ["a"]}), with_probe(httpGet={"port": 0}),
    with_probe(httpGet={"port": 70000}), with_probe(httpGet={"port": "UP"}), with_probe(httpGet={"port": "http", "scheme": "X"}),
    with_probe(httpGet={}), with_probe(tcpSocket={"port": 0}), with_probe(exec={}), with_probe(**GET, periodSeconds=-1),
    with_probe(**GET, timeoutSeconds=-1), with_probe(**GET, initialDelaySeconds=-1), with_probe(**GET, failureThreshold=-1),
    with_probe("livenessProbe", **GET, successThreshold=2), with_probe("startupProbe", **GET, successThreshold=2),
    with_probe(**GET, successThreshold=2), with_probe("livenessProbe", grpc={"port": 0}), pod(container(lifecycle={"preStop": {}})),
    pod(container(lifecycle={"postStart": {"exec": {"command": ["a"]}, "httpGet": {"port": 80}}})),
    # pods
    pod(restartPolicy="Sometimes"), pod(dnsPolicy="X"), pod(dnsPolicy="None"), pod(terminationGracePeriodSeconds=-1),
    pod(activeDeadlineSeconds=0), pod(serviceAccountName="A_b"), pod(nodeSelector={"a b": "c"}), pod(nodeSelector={"a": "c d"}),
    pod(nodeName="A_b"), pod(hostname="A_b"), pod(subdomain="A_b"), pod(tolerations=[{"operator": "X"}]),
    pod(tolerations=[{"key": "a b", "operator": "Exists"}]), pod(tolerations=[{"key": "a", "operator": "Exists", "value": "v"}]),
    pod(tolerations=[{"key": "a", "effect": "X"}]), pod(tolerations=[{"value": "x"}]),
    pod(tolerations=[{"key": "a", "value": "b", "effect": "NoSchedule", "tolerationSeconds": 5}]), pod(securityContext={"runAsUser": -1}),
    pod(securityContext={"fsGroup": -1}), pod(container(securityContext={"runAsUser": -1})), pod(topologySpreadConstraints=[{}]),
    pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "X"}]),
    pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
    # deployments and their like
    deployment({"restartPolicy": "Never"}), deployment(replicas=-1), deployment(minReadySeconds=-1), deployment(revisionHistoryLimit=-1),
    deployment(progressDeadlineSeconds=5, minReadySeconds=10), deployment(progressDeadlineSeconds=-1), deployment(strategy={"type": "X"}),
    deployment(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
    deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
    deployment(strategy={"rollingUpdate": {"maxSurge": "50"}}), deployment(strategy={"rollingUpdate": {"maxUnavailable": "150%"}}),
    deployment(strategy={"rollingUpdate": {"maxSurge": -1}}), deployment({"volumes": [{"name": "v"}]}),
    deployment({"initContainers": [container()]}), deployment({"activeDeadlineSeconds": 5}),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "X"}]}),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
    deployment(selector={"matchExpressions": [{"key": "z", "operator": "Exists"}]}), deployment(selector={"matchLabels": {"a b": "c"}}),
    deployment(selector={"matchLabels": {"a": "b c"}}),
    of("apps/v1", "Deployment", "deployments", {"selector": {"matchLabels": {"a": "b"}}, "template": {
        "metadata": {"labels": {"a": "b", "c d": "e"}, "annotations": {"f g": "h"}}, "spec": {"containers": [container()]}}}),
    *[like(kind, **spec) for kind in ("StatefulSet", "DaemonSet", "ReplicaSet")
      for spec in ({}, {"minReadySeconds": -1}, {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}}})],
    *[like(kind, replicas=-1) for kind in ("StatefulSet", "ReplicaSet")],
    # services
    service(type="X"), service({"protocol": "X"}), service({"targetPort": 70000}), service({"targetPort": "UP"}),
    service({"targetPort": "x" * 16}), service({"targetPort": 0}), service({"name": "UP"}), service({"name": "a"}, {"name": "b"}),
    service({"name": "a"}, {"name": "b", "protocol": "UDP"}), service(selector={"a b": "c"}), service(selector={"a": "c d"}),
    service(clusterIP="x"), service(type="ExternalName"), service(type="ExternalName", externalName="a b"),
    service(type="ExternalName", externalName="a.b"), service(sessionAffinity="X"), service({"nodePort": 30000}),
    service({"nodePort": 1}, type="NodePort"), service(type="LoadBalancer", clusterIP="None"), service(type="NodePort", clusterIP="None"),
    service(externalTrafficPolicy="Local"), service(externalTrafficPolicy="X", type="NodePort"), service(internalTrafficPolicy="X"),
    service(ipFamilyPolicy="X"), service(ipFamilies=["X"]), service(name="1a"), service(name="a.b"), service(name="x" * 64),
    service(name="UP"), service(externalIPs=["x"]), service(publishNotReadyAddresses=True, clusterIP="None"),
    service({"appProtocol": "a b"}),
    # claims
    claim(), claim(accessModes=["ReadWriteOnce"]), claim(accessModes=["X"], resources=STORAGE),
    claim(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "-1"}}),
    claim(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "0"}}),
    claim(accessModes=["ReadWriteOnce", "ReadWriteOncePod"], resources=STORAGE),
    claim(resources=STORAGE),
    claim(accessModes=["ReadWriteOnce"], resources=STORAGE, storageClassName="A b"),
    claim(accessModes=["ReadWriteOnce"], resources=STORAGE, volumeMode="X"),
    # ingresses
    of("networking.k8s.io/v1", "Ingress", "ingresses", {}), ingress(), ingress(path()), ingress(path(pathType=None)),
    ingress(path(pathType="X")), ingress(path(path="a")), ingress(path(path="/a//b")), ingress(path(backend={})),
    ingress(path(backend={"service": {"name": "s"}})), ingress(path(backend={"service": {"port": {"number": 80}}})),
    ingress(path(backend={"service": {"name": "s", "port": {"number": 80, "name": "a"}}})),
    ingress(path(backend={"service": {"name": "s", "port": {"number": 0}}})), ingress(path(), host="A_"), ingress(path(), host="*.a.b"),
    ingress(path(), host="*"), ingress(path(), host="1.2.3.4"), ingress(path(backend={"service": {"name": "A_", "port": {"number": 80}}})),
    of("networking.k8s.io/v1", "Ingress", "ingresses", {
        "defaultBackend": {"service": {"name": "s", "port": {"name": "http"}}}, "ingressClassName": "A b"}),
    # jobs
    job(parallelism=-1), job(completions=-1), job(backoffLimit=-1), job(activeDeadlineSeconds=-1), job(ttlSecondsAfterFinished=-1),
    job(completionMode="X"), job(completionMode="Indexed"), job("CronJob", schedule=""), job("CronJob", schedule="x"),
    job("CronJob", schedule="* * * *"), job("CronJob", schedule="@hourly"), job("CronJob", concurrencyPolicy="X"),
    job("CronJob", startingDeadlineSeconds=-1), job("CronJob", successfulJobsHistoryLimit=-1), job("CronJob", schedule="TZ=UTC 1 * * * *"),
    # the rest
    scaler(), scaler(maxReplicas=0), scaler(minReplicas=5), scaler(minReplicas=0),
    scaler(scaleTargetRef={"kind": "A", "name": "a", "apiVersion": "v1"}), scaler(scaleTargetRef={"kind": "A", "name": "a"}),
    scaler(scaleTargetRef={"kind": "", "name": ""}),
    budget(minAvailable=1, maxUnavailable=1), budget(minAvailable=1, maxUnavailable="5%", selector={"matchLabels": {"a": "b"}}),
    budget(minAvailable=-1), budget(minAvailable="x"), budget(minAvailable="50%"), role({}), role({"verbs": ["get"]}),
    role({"verbs": ["get"], "resources": ["a"]}),
    role({"verbs": ["get"], "apiGroups": [""], "resources": ["a"], "nonResourceURLs": ["/x"]}),
    binding(roleRef=dict(ROLE, kind="X")),
    binding(),
    binding(roleRef=dict(ROLE, name="")),
    binding(roleRef=ROLE, subjects=[{"kind": "ServiceAccount", "name": "a"}]),
    binding(roleRef=ROLE, subjects=[{"kind": "X", "name": "a"}]),
    policy(policyTypes=["X"]),
    policy(ingress=[{"ports": [{"port": 70000}]}]),
    policy(ingress=[{"from": [{}]}]), policy(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}],
                                              policyTypes=["Ingress", "Egress"]),
    # what is right all the same, and what is nearly so
    stateful(serviceName="x", volumeClaimTemplates=TEMPLATES, pod_spec=MOUNTED), stateful(pod_spec=MOUNTED),
    stateful(pod_spec={"restartPolicy": "Never"}),
    stateful(pod_spec={"activeDeadlineSeconds": 5}), stateful(pod_spec={"containers": [container(name="A b")]}),
    stateful(pod_spec={"containers": []}),
    stateful(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}]), stateful(podManagementPolicy="X"),
    stateful(updateStrategy={"type": "X"}),
    stateful(serviceName="A b"), pod(container(imagePullPolicy="", terminationMessagePolicy="")), pod(restartPolicy="", dnsPolicy=""),
    service(type="", sessionAffinity=""), service({"protocol": ""}), with_ports({"containerPort": 80, "protocol": ""}),
    deployment(strategy={"type": ""}), deployment(strategy={}), job("CronJob", concurrencyPolicy=""), job("CronJob", schedule="0\t0 * * *"),
    job("CronJob", schedule="  0 0 * * *  "), job("CronJob", schedule="a\nb c"), with_probe(httpGet={"port": 80, "scheme": ""}),
    claim(accessModes=["ReadWriteOnce"], resources=STORAGE, storageClassName=""),
    claim(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": 5}}),
    claim(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": 0}}), service(externalTrafficPolicy=""),
    service(ipFamilies=[""]), with_probe(httpGet={"port": ""}), service({"targetPort": ""}), service({"targetPort": "8080"}),
    with_volumes({"name": "v", "hostPath": {"path": "/a", "type": ""}}), pod(tolerations=[{"key": "a", "operator": "", "effect": ""}]),
    pod(initContainers=[container(name="s", restartPolicy="Always")]), pod(initContainers=[container(name="s", restartPolicy="X")]),
    pod(container(restartPolicy="Always")), pod(initContainers=[container(name="s", readinessProbe=GET)]),
    pod(initContainers=[container(name="s", lifecycle={"preStop": {"exec": {"command": ["a"]}}})]),
    scaler(metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]),
    scaler(minReplicas=0, metrics=[{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "5"}}}]),
    of("autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", {
        "scaleTargetRef": {"kind": "Deployment", "name": "w", "apiVersion": "apps/v1"}, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}),
    cluster_role(rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"]}]),
    cluster_role(aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}),
    cluster_role(rules=[{"nonResourceURLs": ["/x"]}]),
    cluster_role(rules=[{"verbs": ["get"], "nonResourceURLs": ["/x"], "apiGroups": [""], "resources": ["a"]}]),
    cluster_role(rules=[{}]),
    binding(roleRef=ROLE, subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "b"}]),
    binding(roleRef=ROLE, subjects=[{"kind": "User", "name": "a"}]), binding(roleRef=ROLE, subjects=[{"kind": "", "name": "a"}]),
    binding(roleRef=ROLE, subjects=[{"kind": "ServiceAccount", "name": "A b", "namespace": "b"}]),
    binding(roleRef={"kind": "Role", "name": "n"}),
    of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", roleRef=dict(ROLE, kind="ClusterRole"),
       subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "b"}]),
    of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", roleRef=ROLE),
    ingress(path(backend={"resource": {"apiGroup": "a.b", "kind": "K", "name": "n"}})),
    of("networking.k8s.io/v1", "Ingress", "ingresses", {
        "tls": [{"hosts": ["a.b"], "secretName": "s"}], "rules": [{"host": "a.b", "http": {"paths": [path()]}}]}),
    ingress(path(pathType="ImplementationSpecific", path="")), ingress(path(path="")), ingress(path(path=None)),
    of("networking.k8s.io/v1", "Ingress", "ingresses", {"rules": [{"host": "a.b"}]}),
    pod(container(resources={"requests": {"cpu": 0.5, "memory": "1e6"}, "limits": {"cpu": 1}})),
    pod(container(resources={"limits": {"nvidia.com/gpu": 1}})),
    pod(container(resources={"limits": {"hugepages-2Mi": "2Mi", "memory": "1Gi"}})), pod(securityContext=None),
    pod(container(ports=None, env=None, volumeMounts=None, livenessProbe=None)), deployment(replicas=None), deployment(replicas=0),
    service({"nodePort": 0}), service({"nodePort": 31000}, type="LoadBalancer"), service(type="NodePort", externalTrafficPolicy="Local"),
    with_env({"name": "A", "value": "x", "valueFrom": None}),
    with_env({"name": "A", "valueFrom": {"fieldRef": None, "configMapKeyRef": {"name": "m", "key": "k"}}}),
    with_volumes({"name": "v", "emptyDir": None, "secret": {"secretName": "s"}}), with_volumes({"name": "v", "csi": {"driver": "a.b"}}),
    with_volumes({"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": STORAGE}}}}),
    with_volumes({"name": "v", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}),
    with_volumes({"name": "v", "image": {"reference": "a"}}), with_volumes({"name": "v", "nfs": {"server": "a", "path": "/b"}}),
    pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}}),
    policy(egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 100, "endPort": 200}]}]),
    policy(ingress=[{}]), policy(ingress=[]), budget(maxUnavailable="100%"), budget(maxUnavailable="150%"), budget(minAvailable=0),
    budget(), like("DaemonSet", updateStrategy={"type": "OnDelete"}), like("DaemonSet", updateStrategy={"type": "X"}),
    like("DaemonSet", pod_spec={"activeDeadlineSeconds": 5}), like("ReplicaSet", pod_spec={"activeDeadlineSeconds": 5}),
    stateful(updateStrategy={"type": "OnDelete"}, podManagementPolicy="Parallel"), like("DaemonSet", pod_spec={"restartPolicy": "Never"}),
    like("DaemonSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}), job(parallelism=0),
    job(template={"spec": {"containers": [container()], "restartPolicy": "Always"}}),
    job(template={"spec": {"containers": [container()], "restartPolicy": "X"}}), job(template={"spec": {"containers": [container()]}}),
    job(podFailurePolicy={"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}),
    # what is accepted: it must not be refused
    service(type="ExternalName", externalName="a.b."), of("v1", "Service", "services", {"type": "ExternalName", "externalName": "a.b"}),
    of("v1", "Service", "services", {"clusterIP": "None", "ports": []}), service(clusterIP=None), service(clusterIPs=["None"], clusterIP="None"),
    service(ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"]), service({"appProtocol": "kubernetes.io/h2c", "targetPort": None}),
    service({"name": "a"}, {"name": "b", "port": 81}, {"name": "c", "protocol": "UDP"}, {"name": "d", "protocol": "SCTP"}),
    service(type="LoadBalancer", externalTrafficPolicy="Local", loadBalancerSourceRanges=["10.0.0.0/8"], loadBalancerClass="a/b"),
    service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 100}}), service(name="0ab"),
    stateful(pod_spec={"subdomain": "A_b", "hostname": "A_b"}), stateful(updateStrategy=None, podManagementPolicy=None, volumeClaimTemplates=None),
    stateful(volumeClaimTemplates=TEMPLATES, pod_spec=dict(MOUNTED, volumes=[{"name": "data"}, {"name": "data"}])),
    stateful(updateStrategy={"rollingUpdate": {"partition": 1}}, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"}),
    scaler(scaleTargetRef={"kind": "ReplicationController", "name": "a", "apiVersion": "v1"}), scaler(minReplicas=None),
    deployment({"restartPolicy": ""}), deployment(strategy={"type": "Recreate", "rollingUpdate": None}), deployment(strategy=None),
    deployment(selector={"matchLabels": {"a": "b"}, "matchExpressions": []}), deployment(selector={"matchExpressions": [
        {"key": "a", "operator": "In", "values": ["b", ""]}, {"key": "q", "operator": "DoesNotExist", "values": []}]}),
    deployment({"hostNetwork": True, "containers": [container(ports=[{"containerPort": 80}])]}),
    like("DaemonSet", pod_spec={"hostPID": True, "volumes": [{"name": "root", "hostPath": {"path": "/", "type": ""}}], "containers": [
        container(volumeMounts=[{"name": "root", "mountPath": "/host", "mountPropagation": "HostToContainer"}])]}),
    like("DaemonSet", updateStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}), like("ReplicaSet", template=None),
    with_volumes({"name": "v", "iscsi": {
        "targetPortal": "10.0.2.15:3260", "iqn": "iqn.2001-04.com.example:storage.kube.sys1.xyz", "lun": 0}}),
    with_volumes({"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}), with_volumes({"name": "v", "awsElasticBlockStore": {"volumeID": "a"}}),
    pod(volumes=[{"name": "t", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607, "audience": "vault"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}],
        serviceAccountName="sa"),
    pod(container(volumeDevices=[{"name": "v", "devicePath": "/dev/x"}]), volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
    pod(container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPathExpr": "$(P)"}, {"name": "v", "mountPath": "c", "subPath": "a..b"}],
                  env=[{"name": "P", "value": "x"}]), volumes=[{"name": "v", "emptyDir": {}}]),
    *[with_probe(p, **h) for p in ("livenessProbe", "startupProbe") for h in (
        {"httpGet": {"path": "/h", "port": "http", "scheme": "HTTPS"}}, {"tcpSocket": {"port": 5432}}, {"grpc": {"port": 9000, "service": "x"}},
        {"exec": {"command": ["a"]}, "httpGet": None})],
    pod(initContainers=[container(name="a"), container(name="b", restartPolicy="Always", startupProbe=GET, livenessProbe=GET, readinessProbe=GET)]),
    pod(container(securityContext={"privileged": True, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "runAsUser": 0,
                                   "seccompProfile": {"type": "RuntimeDefault"}})),
    pod(tolerations=[{"key": "a.b/c", "operator": "Exists", "effect": "NoSchedule"}, {"effect": "NoExecute", "operator": "Exists"},
                     {"key": "k", "value": ""}, {"key": "k", "operator": "Exists", "tolerationSeconds": None}]),
    pod(container(resources={"limits": {"cpu": 1, "memory": "0.5Gi", "nvidia.com/gpu": "2"}, "requests": {"cpu": .5, "nvidia.com/gpu": 2}})),
    pod(container(resources={"limits": None, "requests": {}})), pod(hostUsers=False, readinessGates=[{"conditionType": "a.b/c"}]),
    ingress(path(path="/a(/|$)(.*)", pathType="ImplementationSpecific")), ingress(path(path="/.well-known/x"), path(path="/a.")),
    ingress(path(backend={"service": {"name": "ssl-redirect", "port": {"name": "use-annotation"}}})),
    policy(ingress=[{"from": [{"namespaceSelector": {}, "podSelector": {}}], "ports": [{}, {"port": None}, {"port": 80, "endPort": 90}]}]),
    role({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), of("rbac.authorization.k8s.io/v1", "Role", "roles", rules=None),
    cluster_role(rules=None, aggregationRule={"clusterRoleSelectors": [{}]}), cluster_role(rules=[{"verbs": ["*"], "nonResourceURLs": ["*", "/m/*"]}]),
    binding(roleRef={"kind": "ClusterRole", "name": "system:a:b"}, subjects=[{"kind": "Group", "name": "system:x:y"}, {"kind": "User", "name": "a@b.c"}]),
    job(completions=3, completionMode="Indexed", backoffLimitPerIndex=1), job("CronJob", schedule="@every 1h"), job("CronJob", schedule="0 0 ? * MON-FRI"),
    claim(accessModes=["ReadWriteOncePod"], resources=STORAGE, volumeName="pv", dataSource={"kind": "PersistentVolumeClaim", "name": "x"}),
    # what is refused
    of("v1", "Service", "services", {"type": "ExternalName", "externalName": "."}), service(type="ExternalName", externalName="a.b.."),
    service(type="ExternalName", externalName="x", externalTrafficPolicy="Local"), service(type="ExternalName", externalName="x", clusterIP="None"),
    service({"port": 65536}), service({"port": None}), service({"targetPort": -1}), service(clusterIP="none"), service(name="A.b"),
    *[pod(container(name=n)) for n in ("a.b", "a.B")], with_ports({"containerPort": 80, "name": "A--" + "B" * 15 + "-"}),
    pod(tolerations=[{"key": "k", "operator": "Gt", "value": "5"}]), stateful(serviceName="a.b"), deployment(minReadySeconds=700),
    deployment(selector={"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c d"]}]}),
    deployment(strategy={"rollingUpdate": {"maxUnavailable": "150x"}}), job("CronJob", schedule="TZ"), job("CronJob", schedule="CRON_TZ=UTC 0 * * * *"),
    claim(accessModes=["ReadWriteMany"], resources={"requests": {"storage": -1.5}}), claim(accessModes=["ReadWriteMany"], resources={"requests": {"storage": None}}),
    pod(container(resources={"requests": {"cpu": .5}, "limits": {"cpu": .25}})), pod(container(resources={"requests": {"cpu": 1}, "limits": {"cpu": None}})),
    *[ingress(path(path=p)) for p in ("/a/..", "/a/.", "/%2F")], ingress(path(path="x", pathType="ImplementationSpecific")),
    *[ingress(path(backend={"service": {"name": "s", "port": port}})) for port in ({"number": 70000}, {"name": "UP"})],
    ingress(path(backend={"service": {"name": "s", "port": {"number": 80}}, "resource": {"kind": "K", "name": "n"}})),
    ingress(path(backend={"resource": {"kind": "", "name": ""}})), of("networking.k8s.io/v1", "Ingress", "ingresses", {"defaultBackend": {}}),
    policy(ingress=[{"ports": [{"protocol": "X"}]}]), policy(policyTypes=["Ingress", "Egress", "Ingress"]),
    scaler(maxReplicas=-1), scaler(maxReplicas=None), scaler(minReplicas=0, maxReplicas=0), scaler(scaleTargetRef={"kind": "a/b", "name": "a", "apiVersion": "a/v1"}),
    budget(minAvailable="150x"), budget(minAvailable="150%"), budget(minAvailable="%"),
    role({"verbs": ["get"], "nonResourceURLs": ["/x"], "resourceNames": ["a"]}), binding(roleRef=dict(ROLE, apiGroup="x")), binding(roleRef=dict(ROLE, name="a/b%")),
    binding(roleRef=dict(ROLE, name="..")), binding(roleRef=ROLE, subjects=[{"kind": "User", "name": "a", "apiGroup": "x"}]),
    binding(roleRef=ROLE, subjects=[{"kind": "ServiceAccount", "name": "a", "namespace": "x", "apiGroup": "y"}]),
    of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", roleRef=dict(ROLE, kind="ClusterRole"),
       subjects=[{"kind": "ServiceAccount", "name": "a"}]),
    ingress(path(pathType=None, backend={})), ingress(path(pathType="X", backend={})),
    # nulls in lists
    pod(tolerations=[None]), ingress(None), role(None),
    policy(policyTypes=[None]), claim(accessModes=[None], resources=STORAGE), binding(roleRef=ROLE, subjects=[None]),
]

# What is there, and merge patches of it.
TYPES = [{"spec": s} for s in (
    {"type": "ClusterIP"}, {"type": "NodePort"}, {"type": "LoadBalancer"}, {"type": None}, {"externalTrafficPolicy": "Local"},
    {"type": "ClusterIP", "externalTrafficPolicy": "X"}, {"type": "ClusterIP", "ports": [{"name": "h", "port": 80, "nodePort": 30555}]},
    {"type": "ClusterIP", "ports": [{"port": 81}]}, {"type": "ExternalName", "externalName": "a.b"}, {"type": "LoadBalancer", "clusterIP": None, "clusterIPs": None}, None)]
CHANGES = [
    *[(service({"name": "h"}, **spec), TYPES) for spec in (
        {}, {"type": "NodePort"}, {"type": "LoadBalancer"}, {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "a/b"},
        {"clusterIP": "None"})],
    (of("v1", "Service", "services", {"type": "ExternalName", "externalName": "a.b", "ports": [{"port": 80}]}), [
        {"spec": {"type": t, "externalName": None}} for t in ("ClusterIP", "NodePort", "LoadBalancer")]),
    (deployment(), [{"spec": s} for s in ({"strategy": {"type": "Recreate", "rollingUpdate": None}}, {"strategy": None}, {"replicas": None},
                                          {"template": None}, {"selector": None}, {"selector": {"matchExpressions": []}})]),
    (stateful(serviceName="x", volumeClaimTemplates=TEMPLATES), [{"spec": s} for s in (
        {"replicas": 3}, {"minReadySeconds": 4, "ordinals": {"start": 2}}, {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}},
        {"podManagementPolicy": None}, {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}})]),
    (ingress(path()), [{"spec": {"rules": None}}, {"spec": {"rules": None, "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}]),
    (scaler(minReplicas=2), [{"spec": {"maxReplicas": 1}}, {"spec": {"minReplicas": None, "maxReplicas": 1}}]),
    (budget(minAvailable=1), [{"spec": {"maxUnavailable": 1}}, {"spec": {"minAvailable": None, "maxUnavailable": 1}}]),
]
