{{/*
A Deployment of one role: (dict "root" $ "role" "gateway"|"publisher" "name" <of objects> "values" <.Values.<role>>
"track" "stable"|"canary" "image" .. "replicas" <text, empty if an autoscaler decides> "config" <tree>)
*/}}
{{- define "sluice.deployment" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $leaving := dict "config" .config "role" .role "termination" $values.termination "given" $values.minReadySeconds -}}
{{- $_ := set . "leaving" $leaving -}}
{{- $minReady := include "sluice.minReadySeconds" $leaving | int -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "sluice.labels" $root | nindent 4 }}
    {{- include "sluice.trackLabels" . | nindent 4 }}
spec:
  {{- if .replicas }}
  replicas: {{ .replicas }}
  {{- end }}
  minReadySeconds: {{ $minReady }}
  progressDeadlineSeconds: {{ add $minReady 600 }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "sluice.selector" $root | nindent 6 }}
      {{- include "sluice.trackLabels" . | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/config: {{ include "sluice.toml" .config | sha256sum }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      # Not the chart's version: a new chart that changes nothing for pods must not drain them.
      labels:
        {{- include "sluice.selector" $root | nindent 8 }}
        {{- include "sluice.trackLabels" . | nindent 8 }}
        {{- with $root.Values.commonLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        sluice-sse.github.io/ops: "true"
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "sluice.podSpec" . | nindent 6 }}
{{- end }}

{{- define "sluice.trackLabels" -}}
app.kubernetes.io/component: {{ .role }}
sluice-sse.github.io/track: {{ .track }}
{{- end }}

{{- define "sluice.podSpec" -}}
{{- $root := .root -}}
{{- $values := .values -}}
serviceAccountName: {{ include "sluice.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "sluice.graceSeconds" .leaving }}
securityContext:
  {{- include "sluice.podSecurity" 65532 | nindent 2 }}
  {{- with $values.sysctls }}
  sysctls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "sluice.selector" $root | nindent 8 }}
        {{- include "sluice.trackLabels" $ | nindent 8 }}
    # Of this revision only, or a rollout would be spread around the pods that it replaces.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
containers:
  - name: {{ .role }}
    {{- include "sluice.container" . | nindent 4 }}
volumes:
  {{- include "sluice.volumes" . | nindent 2 }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What every process of Sluice reads: (dict "root" $ "role" "gateway"|"publisher" "configMap" ..) */}}
{{- define "sluice.volumes" -}}
- name: config
  configMap:
    name: {{ .configMap }}
{{- $login := include "sluice.redisLogin" . | fromYaml -}}
{{- $mount := .root.Values.redis.mountPasswords -}}
{{- if and $mount $login.passwordKey }}
- name: redis-login
  secret:
    secretName: {{ $login.passwordSecret }}
    defaultMode: 0440
    items: [{key: {{ $login.passwordKey | quote }}, path: {{ $login.passwordKey | quote }}}]
{{- end }}
{{- with .root.Values.redis.existingSecret }}
{{- if and $mount .sentinelPasswordKey }}
- name: redis-sentinel-login
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items: [{key: {{ .sentinelPasswordKey | quote }}, path: {{ .sentinelPasswordKey | quote }}}]
{{- end }}
{{- end }}
{{- if .root.Values.redis.tls.existingSecret }}
- name: redis-tls
  secret:
    secretName: {{ .root.Values.redis.tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- if .root.Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ .root.Values.tls.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- if .root.Values.auth.keyFiles.existingSecret }}
- name: auth
  secret:
    secretName: {{ .root.Values.auth.keyFiles.existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* Where the volumes are: (dict "root" $ "role" "gateway"|"publisher") */}}
{{- define "sluice.volumeMounts" -}}
{{- $login := include "sluice.redisLogin" . | fromYaml -}}
{{- $mount := .root.Values.redis.mountPasswords -}}
- {name: config, mountPath: /etc/sluice/config, readOnly: true}
{{- if and $mount $login.passwordKey }}
- {name: redis-login, mountPath: /etc/sluice/redis-login, readOnly: true}
{{- end }}
{{- if and $mount .root.Values.redis.existingSecret.sentinelPasswordKey }}
- {name: redis-sentinel-login, mountPath: /etc/sluice/redis-sentinel-login, readOnly: true}
{{- end }}
{{- if .root.Values.redis.tls.existingSecret }}
- {name: redis-tls, mountPath: /etc/sluice/redis-tls, readOnly: true}
{{- end }}
{{- if .root.Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/sluice/tls, readOnly: true}
{{- end }}
{{- if .root.Values.auth.keyFiles.existingSecret }}
- {name: auth, mountPath: /etc/sluice/auth, readOnly: true}
{{- end }}
{{- end }}

{{- define "sluice.container" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $port := eq .role "gateway" | ternary 8080 8081 -}}
image: {{ .image }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: [{{ .role }}, --config, /etc/sluice/config/sluice.toml]
{{- $env := include "sluice.env" . | trim }}
{{- if or $env $values.extraEnv }}
env:
  {{- with $env }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
ports:
  - {name: http, containerPort: {{ $port }}, protocol: TCP}
  - {name: ops, containerPort: 8082, protocol: TCP}
# Neither asks for Redis: a restart would end streams and mend nothing. /startupz does wait for it, and a pod that
# fails its startup probe is killed, so that readiness alone waits for Redis's first answer.
startupProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- if $values.termination.preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int $values.termination.preStopSeconds }}
{{- end }}
securityContext:
  {{- include "sluice.containerSecurity" . | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "sluice.volumeMounts" (dict "root" $root "role" .role) | nindent 2 }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The `restricted` pod security standard. The argument is the user. */}}
{{- define "sluice.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sluice.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
