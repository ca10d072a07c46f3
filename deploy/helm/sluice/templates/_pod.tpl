{{/* The template of the pods, of a Deployment and of a StatefulSet. */}}
{{- define "sluice.pod" -}}
metadata:
  labels:
    {{- include "sluice.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $exposed := and (include "sluice.isServe" .) .Values.admin.expose }}
  {{- if or .Values.podAnnotations $exposed }}
  annotations:
    {{- if $exposed }}
    # Through a sidecar every caller would have the address of this machine, which may reset counters and change the policy.
    traffic.sidecar.istio.io/excludeInboundPorts: {{ .Values.admin.port | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  {{- $isServe := include "sluice.isServe" . }}
  serviceAccountName: {{ include "sluice.serviceAccount" . }}
  automountServiceAccountToken: {{ .Values.rbac.enrichKubernetes }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  # preStop, --grace, and time to write the last log lines.
  terminationGracePeriodSeconds: {{ add .Values.preStopSeconds (ternary .Values.graceSeconds 12 (not (empty $isServe))) 5 }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: sluice
      image: {{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      {{- if $isServe }}
      args:
        {{- include "sluice.serveArgs" . | nindent 8 }}
      {{- else }}
      command: [/bin/ratelimit]
      args: [--workers, {{ .Values.workers | quote }}]
      {{- end }}
      {{- if or (not $isServe) .Values.env }}
      env:
        {{- if not $isServe }}
        {{- include "sluice.ratelimitEnv" . | nindent 8 }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: grpc, containerPort: {{ .Values.grpc.port }} }
        {{- if $isServe }}
        {{- if .Values.http.enabled }}
        - { name: http, containerPort: {{ .Values.http.port }} }
        {{- end }}
        {{- if .Values.otlpHttp.enabled }}
        - { name: otlp-http, containerPort: {{ .Values.otlpHttp.port }} }
        {{- end }}
        {{- if .Values.admin.expose }}
        - { name: metrics, containerPort: {{ .Values.admin.port }} }
        {{- end }}
        {{- else }}
        - { name: http, containerPort: {{ .Values.ratelimit.httpPort }} }
        - { name: metrics, containerPort: {{ .Values.ratelimit.metricsPort }} }
        {{- end }}
      {{- include "sluice.probes" . | nindent 6 }}
      lifecycle:
        preStop: { sleep: { seconds: {{ .Values.preStopSeconds }} } }
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        # Never by subPath, whose files do not change with the ConfigMap or Secret.
        - { name: config, mountPath: {{ ternary "/etc/sluice/policy" "/data/ratelimit/config" (not (empty $isServe)) }}, readOnly: true }
        - { name: tmp, mountPath: /tmp }
        {{- if .Values.tls.secretName }}
        - { name: tls, mountPath: /etc/sluice/tls, readOnly: true }
        {{- end }}
        {{- if .Values.spool.enabled }}
        - { name: spool, mountPath: {{ .Values.spool.mountPath }} }
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ include "sluice.configMap" . }} }
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- with .Values.tls.secretName }}
    - name: tls
      secret: { secretName: {{ . }} }
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "sluice.selector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "sluice.configMap" -}}
{{- if include "sluice.isServe" . -}}
{{- default (printf "%s-policy" (include "sluice.fullname" .)) .Values.policy.existingConfigMap }}
{{- else -}}
{{- default (printf "%s-limits" (include "sluice.fullname" .)) .Values.ratelimit.existingConfigMap }}
{{- end -}}
{{- end }}

{{- define "sluice.serveArgs" -}}
- serve
- /etc/sluice/policy
- --grpc={{ include "sluice.listen" (dict "host" .Values.listenHost "port" .Values.grpc.port) }}
- --admin={{ include "sluice.listen" (dict "host" (ternary .Values.listenHost "127.0.0.1" .Values.admin.expose) "port" .Values.admin.port) }}
- --workers={{ .Values.workers }}
- --grace={{ .Values.graceSeconds }}
- --log-format=json
- --log-level={{ .Values.logLevel }}
{{- if .Values.http.enabled }}
- --http={{ include "sluice.listen" (dict "host" .Values.listenHost "port" .Values.http.port) }}
{{- range .Values.http.routes }}
- --http-route={{ . }}
{{- end }}
{{- end }}
{{- if .Values.otlpHttp.enabled }}
- --otlp-http={{ include "sluice.listen" (dict "host" .Values.listenHost "port" .Values.otlpHttp.port) }}
{{- end }}
{{- if .Values.tls.secretName }}
- --tls-cert=/etc/sluice/tls/tls.crt
- --tls-key=/etc/sluice/tls/tls.key
{{- if .Values.tls.requireClientCertificate }}
- --tls-client-ca=/etc/sluice/tls/ca.crt
{{- end }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Settings of the chart win over ratelimit.settings only where a port or a path of the pod depends on them. */}}
{{- define "sluice.ratelimitEnv" -}}
{{- $own := dict
  "GRPC_HOST" .Values.listenHost "GRPC_PORT" .Values.grpc.port
  "HOST" .Values.listenHost "PORT" .Values.ratelimit.httpPort
  "DEBUG_HOST" "127.0.0.1"
  "RUNTIME_ROOT" "/data" "RUNTIME_SUBDIRECTORY" "ratelimit" "RUNTIME_APPDIRECTORY" "config"
  "RUNTIME_WATCH_ROOT" "false" "RUNTIME_IGNOREDOTFILES" "true"
  "USE_STATSD" "false" "USE_PROMETHEUS" "true"
  "PROMETHEUS_ADDR" (include "sluice.listen" (dict "host" .Values.listenHost "port" .Values.ratelimit.metricsPort))
}}
{{- if .Values.tls.secretName }}
{{- $own = merge $own (dict "GRPC_SERVER_USE_TLS" "true" "GRPC_SERVER_TLS_CERT" "/etc/sluice/tls/tls.crt" "GRPC_SERVER_TLS_KEY" "/etc/sluice/tls/tls.key") }}
{{- if .Values.tls.requireClientCertificate }}
{{- $own = set $own "GRPC_CLIENT_TLS_CACERT" "/etc/sluice/tls/ca.crt" }}
{{- end }}
{{- end }}
{{- $defaults := dict "LOG_FORMAT" "json" "LOG_LEVEL" .Values.logLevel }}
{{- range $name, $value := merge $own .Values.ratelimit.settings $defaults }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end }}
