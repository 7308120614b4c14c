{{/*
How long a pod may take to leave. What it does in that time: preStop sleeps; SIGTERM; the node is unready and goes on
for drain.delay_ms; a gateway ends its streams over drain.window_ms, and gives those that are on their way 3 s more (GRACE in
crates/sluice-gateway/src/drain.rs); what was accepted is finished and the last spans are sent, both in 10 s (FINISH in
crates/sluice/src/node/ending.rs). scripts/chart/accepted.py compares. All answers are seconds.
*/}}
{{- define "sluice.finishSeconds" -}}
{{- eq .role "gateway" | ternary 13 10 -}}
{{- end }}
{{- define "sluice.spareSeconds" -}}5{{- end }}

{{/* (dict "config" <tree> "role" .. "termination" ..): until streams are gone */}}
{{- define "sluice.leaveSeconds" -}}
{{- $drain := .config.drain | default dict -}}
{{- $delay := hasKey $drain "delay_ms" | ternary $drain.delay_ms 5000 -}}
{{- $window := hasKey $drain "window_ms" | ternary $drain.window_ms 20000 -}}
{{- $ms := eq .role "gateway" | ternary (addf $delay $window) $delay -}}
{{- add .termination.preStopSeconds (divf $ms 1000 | ceil | int) -}}
{{- end }}

{{- define "sluice.graceSeconds" -}}
{{- $needed := add (include "sluice.leaveSeconds" . | int) (include "sluice.finishSeconds" . | int) -}}
{{- $given := .termination.gracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{ add $needed (include "sluice.spareSeconds" . | int) }}
{{- else if lt (int $given) (int $needed) -}}
{{- fail (printf "%s.termination.gracePeriodSeconds is %d, but leaving takes %d s (preStopSeconds, drain.delay_ms%s and %s s to finish): pods would be killed with %s. Leave it empty to have it computed, or shorten the drain" .role (int $given) (int $needed) (eq .role "gateway" | ternary ", drain.window_ms" "") (include "sluice.finishSeconds" .) (eq .role "gateway" | ternary "streams open" "events that are not answered")) -}}
{{- else -}}
{{ int $given }}
{{- end -}}
{{- end }}

{{/* As long as a gateway takes to leave, so that a rollout drains one after the other. */}}
{{- define "sluice.minReadySeconds" -}}
{{- if not (kindIs "invalid" .given) -}}
{{ int .given }}
{{- else if eq .role "gateway" -}}
{{ include "sluice.leaveSeconds" . }}
{{- else -}}
5
{{- end -}}
{{- end }}
