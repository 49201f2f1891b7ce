{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "kroc.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "kroc.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "kroc.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kroc.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "kroc.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "kroc.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kroc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "kroc.labels" -}}
{{- if .Values.metadata.includeHelmChart }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}
app.kubernetes.io/name: {{ include "kroc.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/component: controller
app.kubernetes.io/part-of: kro
{{- if .Values.metadata.includeManagedBy }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- with .Values.additionalLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The number behind the last colon of an address: the probes ask there. */}}
{{- define "kroc.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end }}

{{- define "kroc.replicas" -}}
{{- max (int .Values.deployment.replicaCount) (int .Values.config.shards) }}
{{- end }}

{{- define "kroc.disruptionBudget" -}}
{{- if kindIs "invalid" .Values.podDisruptionBudget.enabled }}
{{- if gt (int (include "kroc.replicas" .)) 1 }}true{{ end }}
{{- else if .Values.podDisruptionBudget.enabled }}true{{ end }}
{{- end }}

{{- define "kroc.priorityClassName" -}}
{{- if .Values.deployment.priorityClassName }}
{{- .Values.deployment.priorityClassName }}
{{- else if .Values.priorityClass.create }}
{{- include "kroc.fullname" . }}
{{- end }}
{{- end }}

{{/* Name, ServiceAccount, rules and command of a Job that runs before the release's objects exist. */}}
{{- define "kroc.hook" -}}
{{- $top := .top }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "kroc.labels" $top | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .when }}
    helm.sh/hook-weight: "-20"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- with $top.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
    {{- include "kroc.labels" $top | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .when }}
    helm.sh/hook-weight: "-20"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    {{- include "kroc.labels" $top | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .when }}
    helm.sh/hook-weight: "-15"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ $top.Release.Namespace }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ $top.Release.Namespace }}
  labels:
    {{- include "kroc.labels" $top | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .when }}
    helm.sh/hook-weight: {{ .weight | quote }}
    # A failed one stays, so that its log can be read.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 0
  activeDeadlineSeconds: 240
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ include "kroc.name" $top }}
        app.kubernetes.io/instance: {{ $top.Release.Name }}
        app.kubernetes.io/component: hook
    spec:
      serviceAccountName: {{ .name }}
      restartPolicy: Never
      securityContext:
        {{- toYaml $top.Values.deployment.podSecurityContext | nindent 8 }}
      {{- with $top.Values.deployment.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $top.Values.deployment.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: kroc
          image: {{ include "kroc.image" $top | quote }}
          imagePullPolicy: {{ $top.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          resources:
            requests: { cpu: 10m, memory: 16Mi }
            limits: { memory: 128Mi }
          securityContext:
            {{- toYaml $top.Values.deployment.securityContext | nindent 12 }}
{{- end }}
