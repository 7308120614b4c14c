{{/*
Sluice's configuration file: config of the values, and over it what the chart alone decides.
sluice.config: (dict "root" $ "extra" <config over config>) -> YAML of the whole tree
*/}}
{{- define "sluice.config" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $redis := dict -}}
{{- if $values.redis.dev.enabled -}}
{{- $_ := set $redis "url" (printf "redis://%s-redis:6379" (include "sluice.fullname" $root)) -}}
{{- else if $values.redis.url -}}
{{- $_ := set $redis "url" $values.redis.url -}}
{{- end -}}
{{- with $values.redis.username }}{{- $_ := set $redis "username" . -}}{{- end -}}
{{- with $values.redis.sentinel.username }}{{- $_ := set $redis "sentinel" (dict "username" .) -}}{{- end -}}
{{- with $values.redis.tls -}}
{{- if .existingSecret -}}
{{- $tls := dict -}}
{{- if .caKey }}{{- $_ := set $tls "ca_file" (printf "/etc/sluice/redis-tls/%s" .caKey) -}}{{- end -}}
{{- if .certKey }}{{- $_ := set $tls "cert_file" (printf "/etc/sluice/redis-tls/%s" .certKey) -}}{{- end -}}
{{- if .keyKey }}{{- $_ := set $tls "key_file" (printf "/etc/sluice/redis-tls/%s" .keyKey) -}}{{- end -}}
{{- $_ := set $redis "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- $owned := dict
      "listen" (dict "addr" (printf "%s:8080" $values.listenHost))
      "publisher" (dict "addr" (printf "%s:8081" $values.listenHost))
      "ops" (dict "addr" (printf "%s:8082" $values.listenHost))
      "redis" $redis -}}
{{- with $values.tls -}}
{{- if .existingSecret -}}
{{- $tls := dict "cert_file" (printf "/etc/sluice/tls/%s" .certKey) "key_file" (printf "/etc/sluice/tls/%s" .keyKey) -}}
{{- if .clientCaKey }}{{- $_ := set $tls "client_ca_file" (printf "/etc/sluice/tls/%s" .clientCaKey) -}}{{- end -}}
{{- $_ := set $owned "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- if $values.gateway.cpuPinning }}{{- $_ := set $owned "streams" (dict "pin_cpus" true) -}}{{- end -}}
{{- mustMergeOverwrite (deepCopy $values.config) (deepCopy .extra) $owned | toYaml -}}
{{- end }}

{{/* The file of a tree, indented for a block of YAML. */}}
{{- define "sluice.toml.block" -}}
{{ regexReplaceAll "(?m)^ +$" (include "sluice.toml" . | trim | nindent 4) "" -}}
{{- end }}

{{/* The tree as TOML. Sections are tables; what is nested below them has dotted keys, as in defaults.toml. */}}
{{- define "sluice.toml" -}}
{{- range $section, $keys := . }}
{{- $lines := include "sluice.toml.keys" (dict "prefix" "" "keys" $keys) | trim }}
{{- if $lines }}
[{{ $section }}]
{{ $lines }}
{{ end }}
{{- end }}
{{- end }}

{{- define "sluice.toml.keys" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .keys }}
{{- $key := regexMatch "^[A-Za-z0-9_-]+$" $name | ternary $name (toJson $name) }}
{{- if kindIs "map" $value }}
{{- include "sluice.toml.keys" (dict "prefix" (printf "%s%s." $prefix $key) "keys" $value) }}
{{- else if not (kindIs "invalid" $value) }}
{{ $prefix }}{{ $key }} = {{ include "sluice.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* Numbers of values files are floats to Helm: 67108864 must not become 6.7108864e+07. JSON's strings are TOML's. */}}
{{- define "sluice.toml.value" -}}
{{- if kindIs "slice" . -}}
[{{- range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "sluice.toml.value" $item }}{{ end -}}]
{{- else if kindIs "map" . -}}
{ {{- range $index, $key := keys . | sortAlpha }}{{ if $index }},{{ end }} {{ $key }} = {{ include "sluice.toml.value" (get $ $key) }}{{ end }} }
{{- else if and (kindIs "float64" .) (eq . (floor .)) -}}
{{ int64 . }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{/*
Where a role finds its login to Redis: (dict "root" $ "role" "gateway"|"publisher") -> YAML of username (empty if the file has it),
urlSecret, urlKey, passwordSecret, passwordKey. What the role has of its own wins.
*/}}
{{- define "sluice.redisLogin" -}}
{{- $redis := .root.Values.redis -}}
{{- $own := index $redis .role -}}
{{- $shared := $redis.existingSecret -}}
{{- $secret := $own.existingSecret.name | default $shared.name -}}
{{- $login := dict "username" $own.username "urlSecret" $shared.name "urlKey" $shared.urlKey "passwordSecret" $shared.name "passwordKey" $shared.passwordKey -}}
{{- if $own.existingSecret.urlKey -}}
{{- /* It holds the password too, which another would take the place of. */ -}}
{{- $login = dict "username" $own.username "urlSecret" $secret "urlKey" $own.existingSecret.urlKey -}}
{{- end -}}
{{- if $own.existingSecret.passwordKey -}}
{{- $login = merge (dict "passwordSecret" $secret "passwordKey" $own.existingSecret.passwordKey) $login -}}
{{- end -}}
{{- toYaml $login -}}
{{- end }}

{{/*
Secrets reach the process as variables, which win over the file: (dict "root" $ "role" "gateway"|"publisher")
*/}}
{{- define "sluice.env" -}}
{{- $login := include "sluice.redisLogin" . | fromYaml -}}
{{- $secret := .root.Values.redis.existingSecret -}}
{{- if $login.urlKey }}
{{ include "sluice.secretEnv" (dict "env" "SLUICE_REDIS__URL" "secret" $login.urlSecret "key" $login.urlKey) }}
{{- end }}
{{- with $login.username }}
- name: SLUICE_REDIS__USERNAME
  value: {{ . | quote }}
{{- end }}
{{- $mount := .root.Values.redis.mountPasswords -}}
{{- if and $login.passwordKey $mount }}
- name: SLUICE_REDIS__PASSWORD_FILE
  value: /etc/sluice/redis-login/{{ $login.passwordKey }}
{{- else if $login.passwordKey }}
{{ include "sluice.secretEnv" (dict "env" "SLUICE_REDIS__PASSWORD" "secret" $login.passwordSecret "key" $login.passwordKey) }}
{{- end }}
{{- if and $secret.sentinelPasswordKey $mount }}
- name: SLUICE_REDIS__SENTINEL__PASSWORD_FILE
  value: /etc/sluice/redis-sentinel-login/{{ $secret.sentinelPasswordKey }}
{{- else if $secret.sentinelPasswordKey }}
{{ include "sluice.secretEnv" (dict "env" "SLUICE_REDIS__SENTINEL__PASSWORD" "secret" $secret.name "key" $secret.sentinelPasswordKey) }}
{{- end }}
{{- $auth := .root.Values.auth.existingSecret -}}
{{- range $env, $key := dict "SLUICE_AUTH__JWT__SECRET" $auth.jwtSecretKey "SLUICE_AUTH__ISSUERS" $auth.issuersKey "SLUICE_AUTH__API_KEYS" $auth.apiKeysKey }}
{{- if $key }}
{{ include "sluice.secretEnv" (dict "env" $env "secret" $auth.name "key" $key) }}
{{- end }}
{{- end }}
{{- with .root.Values.telemetry.otlpHeaders }}
{{- if .existingSecret }}
{{ include "sluice.secretEnv" (dict "env" "SLUICE_TELEMETRY__OTLP__HEADERS" "secret" .existingSecret "key" .key) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sluice.secretEnv" -}}
- name: {{ .env }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}
