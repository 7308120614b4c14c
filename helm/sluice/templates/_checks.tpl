{{/* What the schema cannot say: values that contradict each other. Included once, by the configmap. */}}
{{- define "sluice.checks" -}}
{{- $redis := .Values.redis -}}
{{- include "sluice.checks.redisLogins" . -}}
{{- with .Values.auth.existingSecret -}}
{{- if and (or .jwtSecretKey .issuersKey .apiKeysKey) (not .name) -}}
{{- fail "auth.existingSecret has keys but no name" -}}
{{- end -}}
{{- end -}}
{{- $jwt := dig "auth" "jwt" dict .Values.config -}}
{{- range $file := list "key_file" "secret_file" -}}
{{- if and (hasPrefix "/etc/sluice/auth/" (get $jwt $file)) (not $.Values.auth.keyFiles.existingSecret) -}}
{{- fail (printf "config.auth.jwt.%s is under /etc/sluice/auth, but no auth.keyFiles.existingSecret is mounted there" $file) -}}
{{- end -}}
{{- end -}}
{{- if and $redis.url (contains "@" $redis.url) -}}
{{- fail "redis.url would put a login into a ConfigMap: use redis.username and redis.existingSecret.passwordKey, or redis.existingSecret.urlKey" -}}
{{- end -}}
{{- if and (contains "+sentinel://" $redis.url) (not (regexMatch "://[^/]+/[^/]+" $redis.url)) -}}
{{- fail (printf "redis.url lacks the master's name: %s/<master>" (trimSuffix "/" $redis.url)) -}}
{{- end -}}
{{- if and (contains "," $redis.url) (not (contains "+" $redis.url)) -}}
{{- fail "redis.url names several hosts: a cluster is redis+cluster://, Sentinels are redis+sentinel://" -}}
{{- end -}}
{{- if and (or $redis.tls.certKey $redis.tls.keyKey) (not $redis.tls.existingSecret) -}}
{{- fail "redis.tls has keys but no existingSecret" -}}
{{- end -}}
{{- if and $redis.tls.existingSecret $redis.url (not (regexMatch "^(rediss|valkeys)[:+]" $redis.url)) -}}
{{- fail "redis.tls is set, but redis.url does not begin with rediss (or valkeys): nothing would be encrypted" -}}
{{- end -}}
{{- if ne (empty $redis.tls.certKey) (empty $redis.tls.keyKey) -}}
{{- fail "redis.tls.certKey and redis.tls.keyKey go together" -}}
{{- end -}}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) -}}
{{- fail "tls.clientCaKey is set, but no tls.existingSecret" -}}
{{- end -}}
{{- include "sluice.checks.gateway" . -}}
{{- include "sluice.checks.routes" . -}}
{{- end }}

{{/* Each role must find one address and one login. */}}
{{- define "sluice.checks.redisLogins" -}}
{{- $redis := .Values.redis -}}
{{- with $redis.existingSecret -}}
{{- if and (or .urlKey .passwordKey .sentinelPasswordKey) (not .name) -}}
{{- fail "redis.existingSecret has keys but no name" -}}
{{- end -}}
{{- end -}}
{{- $roles := .Values.publisher.enabled | ternary (list "gateway" "publisher") (list "gateway") -}}
{{- range $role := $roles -}}
{{- $own := index $redis $role -}}
{{- $ownUrl := $own.existingSecret.urlKey -}}
{{- $sources := list -}}
{{- if $redis.url }}{{- $sources = append $sources "redis.url" -}}{{- end -}}
{{- if $ownUrl }}{{- $sources = append $sources (printf "redis.%s.existingSecret.urlKey" $role) -}}
{{- else if $redis.existingSecret.urlKey }}{{- $sources = append $sources "redis.existingSecret.urlKey" -}}{{- end -}}
{{- if $redis.dev.enabled }}{{- $sources = append $sources "redis.dev.enabled" -}}{{- end -}}
{{- if and (not $sources) (index (index $redis (eq $role "gateway" | ternary "publisher" "gateway")) "existingSecret").urlKey -}}
{{- fail (printf "redis.%s.existingSecret.urlKey is needed too: the other role has an address of its own, and there is no redis.existingSecret.urlKey for both" $role) -}}
{{- end -}}
{{- if not $sources -}}
{{- fail "Sluice needs a Redis: set redis.url, or redis.existingSecret.name and .urlKey, or, to try things out, redis.dev.enabled" -}}
{{- end -}}
{{- if gt (len $sources) 1 -}}
{{- fail (printf "%s each say where Redis is: keep one" (join " and " $sources)) -}}
{{- end -}}
{{- if and (or $ownUrl $own.existingSecret.passwordKey) (not (or $own.existingSecret.name $redis.existingSecret.name)) -}}
{{- fail (printf "redis.%s.existingSecret has keys but no name, and redis.existingSecret.name is empty" $role) -}}
{{- end -}}
{{- if and $own.existingSecret.name (not $ownUrl) (not $own.existingSecret.passwordKey) -}}
{{- fail (printf "redis.%s.existingSecret.name is set, but neither urlKey nor passwordKey says what to take from it" $role) -}}
{{- end -}}
{{- if and $own.username $redis.existingSecret.passwordKey (not $own.existingSecret.passwordKey) (not $ownUrl) -}}
{{- fail (printf "redis.%s.username is %q, but its password would be that of redis.existingSecret.passwordKey: set redis.%s.existingSecret.passwordKey" $role $own.username $role) -}}
{{- end -}}
{{- if and $ownUrl $redis.username (not $own.username) -}}
{{- fail (printf "redis.username is %q, which would take the place of the user in redis.%s.existingSecret.urlKey: leave redis.username empty, or set redis.%s.username" $redis.username $role $role) -}}
{{- end -}}
{{- if and $own.existingSecret.passwordKey (not $own.username) (not $ownUrl) -}}
{{- fail (printf "redis.%s.existingSecret.passwordKey is set, but not whose password it is: set redis.%s.username" $role $role) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "sluice.checks.gateway" -}}
{{- range $role := list "gateway" "publisher" -}}
{{- with (index $.Values $role).autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas" $role) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.gateway.autoscaling -}}
{{- if and .enabled (not .cpuPercent) (not .streamsPerPod) -}}
{{- fail "gateway.autoscaling needs cpuPercent or streamsPerPod" -}}
{{- end -}}
{{- $streamsMax := dig "limits" "streams_max" 0 $.Values.config | int -}}
{{- if and .enabled .streamsPerPod $streamsMax (ge (int .streamsPerPod) $streamsMax) -}}
{{- fail (printf "gateway.autoscaling.streamsPerPod is %d, but a node sheds at config.limits.streams_max, %d: it would never scale" (int .streamsPerPod) $streamsMax) -}}
{{- end -}}
{{- end -}}
{{- if .Values.gateway.cpuPinning -}}
{{- $limits := dig "limits" dict .Values.gateway.resources -}}
{{- $requests := dig "requests" $limits .Values.gateway.resources -}}
{{- $cpu := get $limits "cpu" | toString -}}
{{- if or (not (regexMatch "^[1-9][0-9]*$" $cpu)) (ne $cpu (get $requests "cpu" | toString)) (ne (get $limits "memory" | toString) (get $requests "memory" | toString)) (not (hasKey $limits "memory")) -}}
{{- fail "gateway.cpuPinning needs gateway.resources with a whole number of CPUs and requests that are the limits, CPU and memory alike: only then does the kubelet give a pod cores of its own" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "sluice.checks.routes" -}}
{{- with .Values.canary -}}
{{- if and .enabled (not .image.tag) (not .image.digest) -}}
{{- fail "canary.image needs a tag or a digest" -}}
{{- end -}}
{{- if and .enabled .joinService $.Values.httpRoute.enabled -}}
{{- fail "canary.joinService and httpRoute.enabled: the canary would get its weight and its part of the stable Service's pods; keep one" -}}
{{- end -}}
{{- end -}}
{{- with .Values.httpRoute -}}
{{- if and .enabled (not .parentRefs) -}}
{{- fail "httpRoute.parentRefs must name a Gateway" -}}
{{- end -}}
{{- if and .enabled .publish (not $.Values.publisher.enabled) -}}
{{- fail "httpRoute.publish needs publisher.enabled" -}}
{{- end -}}
{{- end -}}
{{- with .Values.ingress -}}
{{- if and .enabled (not .hosts) -}}
{{- fail "ingress.hosts must name a host" -}}
{{- end -}}
{{- if and .enabled .publisherHosts (not $.Values.publisher.enabled) -}}
{{- fail "ingress.publisherHosts needs publisher.enabled" -}}
{{- end -}}
{{- range .publisherHosts -}}
{{- if has . $.Values.ingress.hosts -}}
{{- fail (printf "ingress: %s cannot be a host of streams and of the publisher, since both have the same paths" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tests.topic (not .Values.publisher.enabled) -}}
{{- fail "tests.topic needs publisher.enabled" -}}
{{- end -}}
{{- end }}
