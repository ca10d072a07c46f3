{{/*
Startup, readiness and liveness. The kubelet's gRPC probe speaks no TLS, and the admin port is closed to it by default: then a process in
the pod asks the admin port. A limiter is ready while Redis answers, or always if it answers without (SLUICE_OUTAGE); a Redis that is away
never restarts it.
*/}}
{{- define "sluice.probes" -}}
{{- $grpc := printf "grpc: { port: %d }" (int .Values.grpc.port) }}
{{- $ready := $grpc }}
{{- $live := $grpc }}
{{- if include "sluice.isServe" . }}
{{- if .Values.admin.expose }}
{{- $ready = "httpGet: { path: /readyz, port: metrics }" }}
{{- $live = "httpGet: { path: /healthz, port: metrics }" }}
{{- else if .Values.tls.secretName }}
{{- $ready = include "sluice.askAdmin" (dict "port" .Values.admin.port "path" "/readyz") }}
{{- $live = include "sluice.askAdmin" (dict "port" .Values.admin.port "path" "/healthz") }}
{{- end }}
{{- else }}
{{- if .Values.tls.secretName }}
{{- $live = "tcpSocket: { port: http }" }}
{{- end }}
{{- $ready = $live }}
{{- if eq (.Values.ratelimit.settings.SLUICE_OUTAGE | default "error") "error" }}
{{- $ready = "httpGet: { path: /healthcheck, port: http }" }}
{{- end }}
{{- end -}}
startupProbe:
  {{ $live }}
  periodSeconds: 2
  timeoutSeconds: 3
  # A policy of 100 000 rules takes seconds to load.
  failureThreshold: 60
readinessProbe:
  {{ $ready }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  {{ $live }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "sluice.askAdmin" -}}
exec: { command: [node, -e, "fetch('http://127.0.0.1:{{ .port }}{{ .path }}').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"] }
{{- end }}
