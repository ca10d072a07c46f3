{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "sluice.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sluice.name" .) | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .Values.mode }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sluice.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sluice.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- required "serviceAccount.name is needed without serviceAccount.create" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "sluice.isServe" -}}
{{- if eq .Values.mode "serve" }}true{{ end }}
{{- end }}

{{/* Adds the port to the address, in brackets if it is IPv6. */}}
{{- define "sluice.listen" -}}
{{- if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ .port }}
{{- end }}

{{- define "sluice.kind" -}}
{{- if .Values.spool.enabled }}StatefulSet{{ else }}Deployment{{ end }}
{{- end }}

{{/* Combinations that would render, and not work. */}}
{{- define "sluice.validate" -}}
{{- $isServe := include "sluice.isServe" . -}}
{{- if and .Values.networkPolicy.enabled (empty .Values.networkPolicy.from) -}}
{{- fail "networkPolicy.from is empty: nobody could call Sluice; name the namespaces of your Envoys" -}}
{{- end -}}
{{- if and $isServe .Values.serviceMonitor.enabled (not .Values.admin.expose) -}}
{{- fail "serviceMonitor.enabled needs admin.expose=true: Prometheus scrapes the admin port, whose pages show recent requests; restrict it by networkPolicy.monitoringFrom" -}}
{{- end -}}
{{- if and .Values.spool.enabled .Values.hpa.enabled -}}
{{- fail "spool.enabled does not go with hpa.enabled: a pod that is scaled away leaves reports on its volume" -}}
{{- end -}}
{{- if and .Values.tls.requireClientCertificate (not .Values.tls.secretName) -}}
{{- fail "tls.requireClientCertificate needs tls.secretName" -}}
{{- end -}}
{{- if not $isServe -}}
{{- if or .Values.spool.enabled .Values.http.enabled .Values.otlpHttp.enabled .Values.prometheusRule.enabled .Values.extraArgs .Values.rbac.enrichKubernetes -}}
{{- fail "spool, http, otlpHttp, prometheusRule, extraArgs and rbac.enrichKubernetes are of mode: serve" -}}
{{- end -}}
{{- end -}}
{{- end }}
